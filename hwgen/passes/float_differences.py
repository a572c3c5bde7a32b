"""On which codes a requantization differs from the float32 chain it stands for: near ties only.

Used by `settle_ties.py`, and by whoever reports the count.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgen.errors import PassError
from hwgen.ir import Codes, Op, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_ties import ExactChain, exact_chain
from hwgen.ops.requantize import Requantize
from hwgen.passes.find_steps import finite_function
from hwgen.passes.finite_function import StepRow


def near(op: Elementwise, chain: ExactChain, codes: Codes, row: int) -> Codes:
    """Return 1 where `codes` of the channels of `row` lie near a tie."""
    scale = float(op.scale[row if op.scale.size > 1 else 0])
    return chain.channel(row).near_ties([codes * scale])[0].astype(np.int64)


def differences(op: Elementwise, done: Op, x: TensorType) -> tuple[int, int]:
    """Return on how many of the reachable codes of all channels `done` differs, and how many occur.

    Raises
    ------
    PassError : when `op` gives another code than `done` where nothing is near a tie
    """
    if not isinstance(done, Requantize):
        return 0, 0  # `tabulate.py` holds it to equality
    function = finite_function(op, x)
    chain = exact_chain(op.steps, op.quantizer, op.channels)
    count = total = 0
    for number, row in enumerate(function.rows):
        wrong = _wrong(row, _channel(done, number))
        count, total = count + wrong.size, total + int(row.ends[-1] - row.starts[0]) + 1
        if wrong.size and (chain is None or not near(op, chain, wrong, number).all()):
            raise PassError(f"{done.name} differs from the chain at {wrong[0]}, which is no tie")
    return count, total


def _wrong(row: StepRow, done: Requantize) -> Codes:
    """Return the codes where `done`, which keeps order, differs: from the ends of steps inwards."""
    starts, ends, found = row.starts.copy(), row.ends.copy(), []
    for at, inward in ((starts, 1), (ends, -1)):
        while True:
            given = done.evaluate(at[:, None])[:, 0]
            wrong = (given != row.values) & (starts <= ends)
            if not wrong.any():
                break
            found.append(at[wrong])
            at += inward * wrong
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _channel(done: Requantize, channel: int) -> Requantize:
    multiplier, offset = (
        v[channel : channel + 1] if v.size > 1 else v for v in (done.multiplier, done.offset)
    )
    return replace(done, multiplier=multiplier, offset=offset)
