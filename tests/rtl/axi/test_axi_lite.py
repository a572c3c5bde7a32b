"""The AXI4-Lite block: every register, every answer, any order of the channels."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.errors import MappingError
from hwgen.rtl.axi.axi_lite import AXI_LITE_SIGNALS, AxiLiteRegisters
from hwgen.rtl.axi.counters import COUNTERS
from hwgen.rtl.axi.registers import (
    ADDRESS_BITS,
    CONTROL_SOFT_RESET,
    IDENTITY,
    OFFSETS,
    REGISTERS,
    STATUS_BUSY,
    STATUS_TLAST_ERROR,
    Access,
    sha256_words,
    version_word,
)
from tests.rtl.axi.drivers import LiteHost

OKAY, SLVERR = 0, 2
DIGEST = bytes(range(1, 33))


def run(bench, *background):
    """Simulate `bench(ctx, registers, host)` on a fresh block."""
    registers = AxiLiteRegisters(DIGEST, "1.2.3")
    host = LiteHost(registers, seed=len(background))

    async def main(ctx):
        await bench(ctx, registers, host)

    simulator = Simulator(registers)
    simulator.add_clock(1e-6)
    simulator.add_testbench(main)
    for process in background:

        async def other(ctx, process=process):
            await process(ctx, registers)

        simulator.add_testbench(other, background=True)
    simulator.run()


def test_the_map_has_no_clash():
    offsets = [register.offset for register in REGISTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 and offset < 1 << ADDRESS_BITS for offset in offsets)
    assert len(OFFSETS) == len(REGISTERS)


def test_every_register_reads():
    async def bench(ctx, registers, host):
        expected = {"identity": IDENTITY, "version": 0x010203, "control": 0}
        expected["status"] = STATUS_BUSY | STATUS_TLAST_ERROR
        for k in range(8):
            expected[f"model_sha256_{k}"] = sha256_words(DIGEST)[k]
        for k, (name, width) in enumerate(COUNTERS.items()):
            value = 0x1111_2222_0000_0001 * (k + 1) % (1 << width)
            ctx.set(getattr(registers, name), value)
            if width == 32:
                expected[name] = value
            else:
                expected |= {f"{name}_low": value & 0xFFFFFFFF, f"{name}_high": value >> 32}
        ctx.set(registers.busy, 1)
        ctx.set(registers.tlast_seen_wrong, 1)
        assert set(expected) == set(OFFSETS)
        for register in REGISTERS:
            assert await host.read(ctx, register.offset) == (expected[register.name], OKAY)

    run(bench)


def test_digest_is_readable_as_hexadecimal():
    assert "".join(f"{word:08x}" for word in sha256_words(DIGEST)) == DIGEST.hex()


def test_identity_bytes():
    assert IDENTITY.to_bytes(4, "little") == b"HWGN"
    assert IDENTITY == 0x4E475748


def test_unmapped_and_read_only_are_refused():
    async def bench(ctx, registers, host):
        for offset in (0x54, 0x100, 0xFFC):
            assert await host.read(ctx, offset) == (0, SLVERR)
            assert await host.write(ctx, offset, 1) == SLVERR
        for register in REGISTERS:
            answer = OKAY if register.access is Access.READ_WRITE else SLVERR
            assert await host.write(ctx, register.offset, 0) == answer
        assert await host.read(ctx, OFFSETS["identity"]) == (IDENTITY, OKAY)

    run(bench)


@pytest.mark.parametrize(
    ("offset", "data", "strobe", "pulses"),
    [
        (OFFSETS["control"], CONTROL_SOFT_RESET, 0xF, 1),
        (OFFSETS["control"], CONTROL_SOFT_RESET, 0x1, 1),
        (OFFSETS["control"], CONTROL_SOFT_RESET, 0xE, 0),
        (OFFSETS["control"], 0xFFFFFFFE, 0xF, 0),
        (OFFSETS["status"], CONTROL_SOFT_RESET, 0xF, 0),
        (OFFSETS["control"] + 0x100, CONTROL_SOFT_RESET, 0xF, 0),
    ],
)
def test_soft_reset_is_one_cycle(offset, data, strobe, pulses):
    high = []

    async def watch(ctx, registers):
        while True:
            _, _, value = await ctx.tick().sample(registers.soft_reset)
            high.append(int(value))

    async def bench(ctx, registers, host):
        for _ in range(6):
            await host.write(ctx, offset, data, strobe)
            await ctx.tick()

    run(bench, watch)
    assert sum(high) == 6 * pulses
    assert [1, 1] not in [high[k : k + 2] for k in range(len(high))]


def test_counter_is_read_in_one_piece():
    """The counter passes 2**32 between the two reads."""

    async def bench(ctx, registers, host):
        for value, later in ((0xFFFF_FFFF, 0x1_0000_0000), (0x7_FFFF_FFFF, 0x8_0000_0005)):
            ctx.set(registers.cycles, value)
            low, _ = await host.read(ctx, OFFSETS["cycles_low"])
            ctx.set(registers.cycles, later)
            high, _ = await host.read(ctx, OFFSETS["cycles_high"])
            assert high << 32 | low == value

    run(bench)


def test_reads_and_writes_do_not_disturb_each_other():
    answers = []

    async def writer(ctx, registers):
        host = LiteHost(registers, seed=5)
        while True:
            answers.append(await host.write(ctx, OFFSETS["control"], 0))
            answers.append(await host.write(ctx, OFFSETS["version"], 0))

    async def bench(ctx, registers, host):
        for _ in range(40):
            assert await host.read(ctx, OFFSETS["version"]) == (0x010203, OKAY)
            assert await host.read(ctx, 0x200) == (0, SLVERR)

    run(bench, writer)
    assert len(answers) > 20
    assert answers[0::2] == [OKAY] * len(answers[0::2])
    assert answers[1::2] == [SLVERR] * len(answers[1::2])


@pytest.mark.parametrize("version", ["1", "1.2", "a.b.c", "1.2.x", "1.256.0", ""])
def test_bad_version(version):
    with pytest.raises(MappingError, match="version"):
        version_word(version)


def test_version_with_a_suffix():
    assert version_word("0.3.12rc1") == 0x00030C


def test_bad_digest():
    with pytest.raises(MappingError, match="31 bytes, a SHA-256 has 32"):
        sha256_words(bytes(31))


def test_no_output_follows_an_input_in_the_same_cycle():
    """A subordinate has no combinational path (AXI4, A3.2.1)."""
    inputs = [name for name, (way, _) in AXI_LITE_SIGNALS.items() if way == "in"]
    outputs = [name for name, (way, _) in AXI_LITE_SIGNALS.items() if way == "out"]
    seen = set()

    async def bench(ctx, registers, host):
        chance = random.Random(3)
        for _ in range(300):
            before = [ctx.get(getattr(registers, name)) for name in outputs]
            for name in inputs:
                wire = getattr(registers, name)
                ctx.set(wire, chance.getrandbits(len(wire)))
            assert [ctx.get(getattr(registers, name)) for name in outputs] == before
            seen.add((ctx.get(registers.bvalid), ctx.get(registers.rvalid)))
            await ctx.tick()

    run(bench)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}
