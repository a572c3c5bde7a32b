"""Memories of constants: what is read, and that the layout is the cheapest there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from amaranth import Cat, Elaboratable, Module, Signal
from amaranth.back import rtlil
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from hwgen.board import load_board
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.synthesize import synthesize
from hwgen.cost import Resources
from hwgen.rtl.block_ram import HALF_BRAM_SHAPES, LUTS_OF_HALF_BRAM
from hwgen.rtl.rom import (
    MOST_CHUNKS,
    constant_memory,
    rom_halves,
    rom_layout,
    rom_luts,
    rom_resources,
    rom_style,
)

# Words, bits, LUTs, RAMB18: all in LUTs, one shape, words side by side, columns and words in LUTs.
LAYOUTS = (
    (2, 5, 5, 0),
    (64, 40, 40, 0),
    (72, 24, 48, 0),
    (300, 20, 0, 1),
    (512, 37, 9, 1),
    (576, 36, 72, 1),
    (576, 40, 116, 1),
    (640, 6, 66, 0),
    (1152, 12, 12, 1),
    (1500, 36, 36, 3),
    (2304, 20, 20, 4),
    (3072, 6, 6, 1),
)


def words_of(depth: int, width: int) -> list[int]:
    rng = np.random.default_rng(1000 * depth + width)
    return [int.from_bytes(rng.bytes(9), "little") & ((1 << width) - 1) for _ in range(depth)]


class Roms(Elaboratable):
    """One memory of each shape behind one address."""

    def __init__(self, shapes: list[tuple[int, int]]) -> None:
        self.shapes = shapes
        self.address = Signal(range(max(depth for depth, _ in shapes)))
        self.advance = Signal(init=1)
        self.words = [Signal(width, name=f"words{k}") for k, (_, width) in enumerate(shapes)]
        self.all = Signal(sum(width for _, width in shapes))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for k, (depth, width) in enumerate(self.shapes):
            address = self.address[: max((depth - 1).bit_length(), 1)]
            word = constant_memory(
                m, words_of(depth, width), width, address, self.advance, f"rom{k}"
            )
            m.d.comb += self.words[k].eq(word)
        m.d.comb += self.all.eq(Cat(*self.words))
        return m


def test_every_word_is_read() -> None:
    unit = Roms([(depth, width) for depth, width, _, _ in LAYOUTS])
    deepest = max(depth for depth, _ in unit.shapes)

    async def bench(ctx):
        for address in range(deepest):
            ctx.set(unit.address, address)
            ctx.set(unit.advance, 1)
            await ctx.tick()
            ctx.set(unit.advance, 0)
            ctx.set(unit.address, deepest - 1 - address)
            if address % 5 == 0:
                await ctx.tick()  # held
            for (depth, width), word in zip(unit.shapes, unit.words, strict=True):
                if address < depth:
                    assert ctx.get(word) == tables[depth, width][address], (depth, width, address)

    tables = {shape: words_of(*shape) for shape in unit.shapes}
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("depth", "width", "luts", "halves"), LAYOUTS)
def test_layouts(depth, width, luts, halves):
    found = rom_resources(depth, width)
    assert (found.lut, 2 * found.bram36) == (luts, halves)


@pytest.mark.synth
def test_yosys_takes_what_is_promised(tmp_path: Path) -> None:
    # Of two words some columns agree and need no LUT.
    shapes = [(depth, width) for depth, width, _, _ in LAYOUTS if depth > 2]
    unit = Roms(shapes)
    ports = {name: (getattr(unit, name), None) for name in ("address", "advance", "all")}
    text = rtlil.convert(unit, name="roms", ports=ports, emit_src=False)
    files = []
    for module in verilog_modules(text, "_".join):
        files.append(tmp_path / f"{module.name}.v")
        files[-1].write_text(with_attributes(module.text, False))
    made = synthesize(files, "roms", load_board("ultra96"), tmp_path / "work").resources
    promised = sum((rom_resources(*shape) for shape in shapes), Resources())
    assert (made.lut, made.bram36) == (promised.lut, promised.bram36)


@given(st.integers(2, 20_000), st.integers(1, 700))
def test_no_plainer_layout_is_cheaper(depth, width):
    plan = rom_layout(depth, width)
    assert plan.price <= rom_luts(depth, width)
    assert plan.price <= LUTS_OF_HALF_BRAM * rom_halves(depth, width)
    assert plan.chunks <= MOST_CHUNKS
    assert plan.chunks == 1 or plan.rows in {words for words, _ in HALF_BRAM_SHAPES}
    # The Verilog says of each part where it is, by its shape alone.
    if plan.columns:
        assert rom_style(plan.row_depth, plan.columns) == "block"
    if plan.columns < plan.row_width:
        assert rom_style(plan.row_depth, plan.row_width - plan.columns) == "distributed"
    if plan.tail:
        assert rom_style(plan.tail, width) == "distributed"


def test_a_single_word_is_a_register():
    assert rom_resources(1, 7) == Resources(ff=7)
