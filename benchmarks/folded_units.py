"""LUTs of folded matrix-vector units with their weights and thresholds, beside FINN's.

    python benchmarks/folded_units.py [--unit NAME] [--json]

Each unit is simulated against the integer model, every code compared, and synthesized by yosys for
xcup (ultra96). FINN's figures are those reported for its matrix-vector unit with weight streamer
and thresholds, LUTs as Vivado counts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.sim import Simulator
from cost_model import measure

from hwgen.ir import Codes, Op, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold
from hwgen.ops.thresholds import Thresholds
from hwgen.rtl.stream.chain import Chain

SEED = 0
FRAMES = 4
BITS, THREE_BITS = CodeType.binary(), CodeType(0, 7)


@dataclass(frozen=True)
class Unit:
    """A folded layer: random weights, and thresholds near the middle of its sums.

    Parameters
    ----------
    rows, columns : of the matrix
    pe, simd : of them a cycle
    weights : interval, -1 and +1 where bipolar
    inputs, outputs : types of the codes
    goal, finn : LUTs for each product and cycle
    """

    rows: int
    columns: int
    pe: int
    simd: int
    weights: CodeType
    inputs: CodeType
    outputs: CodeType
    goal: float
    finn: float

    def layer(self) -> tuple[tuple[Op, ...], TensorType]:
        """Return the product, its thresholds unless they are one with it, and the input's type."""
        rng = np.random.default_rng(SEED)
        weights = rng.choice(self.weights.codes(), (self.rows, self.columns))
        x = TensorType((self.columns,), self.inputs)
        kernel = Kernel.XNOR if self.inputs.bipolar else Kernel.MAC
        product = MatVec(weights, self.pe, self.simd, kernel)
        sums = np.sort(product.evaluate(frames(x, 1000)).T, axis=1)
        steps = self.outputs.size - 1
        cuts = rng.integers(1, 999, (self.rows, steps))
        thresholds = np.sort(np.take_along_axis(sums, cuts, axis=1), axis=1)
        if steps == 1:
            shape = product.weights, self.pe, self.simd, product.kernel
            merged = MatVecThreshold(*shape, thresholds=thresholds[:, 0], codes=self.outputs)
            return (merged,), x
        rising = np.zeros(1, dtype=np.int64)
        return (product, Thresholds(thresholds, rising, self.outputs, self.pe)), x


UNITS = {
    "xnor_1024": Unit(64, 64, 16, 64, BITS, BITS, BITS, 2.0, 3.1),
    "xnor_3584": Unit(64, 784, 64, 56, BITS, BITS, BITS, 2.0, 3.0),
    **{
        f"mac_2x3_324_{rows * columns // 324}_steps": Unit(
            rows, columns, 9, 36, CodeType(-2, 1), THREE_BITS, THREE_BITS, 12.0, 20.0
        )
        for rows, columns in ((9, 72), (18, 144), (36, 144), (72, 288))
    },
}


def frames(x: TensorType, count: int) -> Codes:
    """Return random frames."""
    rng = np.random.default_rng(SEED + 1)
    return rng.choice(x.codes.codes(), (count, *x.shape))


def packed(codes: Codes, kind: CodeType, lanes: int) -> Iterator[int]:
    """Yield the beats that carry `codes`."""
    for beat in kind.to_bits(codes).reshape(-1, lanes).tolist():
        yield sum(int(word) << (k * kind.width) for k, word in enumerate(beat))


def is_equal(ops: tuple[Op, ...], x: TensorType) -> bool:
    """Whether the hardware gives the codes of the integer model."""
    parts, kind, codes = {}, x, frames(x, FRAMES)
    beats = list(packed(codes, x.codes, ops[0].lanes[0]))
    for op in ops:
        parts[op.name] = op.hardware(kind)
        kind, codes = op.infer(kind), op.evaluate(codes)
    chain = Chain(parts)
    expected = list(packed(codes, kind.codes, chain.o_lanes))
    found: list[int] = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        ctx.set(chain.o.ready, 1)
        ctx.set(chain.i.valid, 1)
        sent = 0
        for _ in range(100_000):
            if len(found) == len(expected):
                return
            ctx.set(chain.i.payload.as_value(), beats[min(sent, len(beats) - 1)])
            ctx.set(chain.i.valid, sent < len(beats))
            sampled = ctx.tick().sample(chain.i.ready, chain.o.valid, chain.o.payload.as_value())
            _, _, ready, valid, value = await sampled
            sent += bool(ready) and sent < len(beats)
            if valid:
                found.append(int(value))

    simulator = Simulator(chain)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found == expected


def row_of(name: str, unit: Unit) -> dict[str, object]:
    """Return what there is to know about one unit."""
    ops, x = unit.layer()
    kinds = (x, ops[0].infer(x))
    chosen = {f"{name}_{op.name}": (op, kind) for op, kind in zip(ops, kinds, strict=False)}
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(chosen, Path(folder))
    luts = [measured[key].lut for key in chosen]
    products = unit.pe * unit.simd
    return {
        "unit": name,
        "products": products,
        "steps": unit.rows * unit.columns // products,
        "equal": is_equal(ops, x),
        "lut_predicted": round(sum(op.resources(kind).lut for op, kind in chosen.values())),
        "lut": sum(luts),
        "lut_matvec": luts[0],
        "lut_thresholds": sum(luts[1:]),
        "ff": sum(measured[key].ff for key in chosen),
        "bram36": sum(measured[key].bram36 for key in chosen),
        "lut_per_product": round(sum(luts) / products, 2),
        "goal": unit.goal,
        "finn_reported": unit.finn,
    }


def main() -> None:
    """Print a row for each unit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--unit", choices=sorted(UNITS), action="append")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    rows = [row_of(name, UNITS[name]) for name in arguments.unit or UNITS]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
