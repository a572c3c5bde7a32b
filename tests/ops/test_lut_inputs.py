"""Folded products for LUTs of four inputs: the same codes, in the cycles that are promised."""

from dataclasses import replace

import pytest

from hwgen.adders import MULTIPLIERS, AdderTarget
from hwgen.ops import matvec, matvec_threshold
from tests.ops import test_conformance as conformance

FOUR = AdderTarget(family="ecp5", multiplier=MULTIPLIERS["ecp5"])
FOLDED = [
    pytest.param(replace(case, op=replace(case.op, target=FOUR)), id=f"{module.__name__}-{k}")
    for module in (matvec, matvec_threshold)
    for k, case in enumerate(module.CASES)
    if not case.op.unrolled
]


@pytest.mark.parametrize("case", FOLDED)
def test_codes_and_cycles(case):
    conformance.test_amaranth_simulation(case, 0.4, 0.4)
    conformance.test_cycles_are_as_promised(case)


def test_units_differ_from_those_for_six_inputs():
    cases = [parameters.values[0] for parameters in FOLDED]
    wide = [replace(case.op, target=AdderTarget()) for case in cases]
    depths = [
        (case.op.schedule(*case.inputs).depth, op.schedule(*case.inputs).depth)
        for case, op in zip(cases, wide, strict=True)
    ]
    assert any(four != six for four, six in depths)
