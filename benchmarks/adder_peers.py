"""da4ml and alkaid: run them on a matrix and read their solutions back as hwgen's `AdderGraph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.adders import Adder, AdderGraph, Output
from hwgen.numeric import CodeType

BYTE = CodeType(-128, 127)
SCORES = ("wmc", "mc")  # the peers' default first
READ, ADD, SUBTRACT, ADD_THREE = -1, 0, 1, 11  # their opcodes

Value = tuple[int, int, bool]  # node, shift, sign
Operation = tuple[int, list[Value]]  # opcode; operands by their place in the stage


@dataclass(frozen=True)
class Stage:
    """One stage of a peer's solution: a matrix is the product of one or two."""

    operations: list[Operation]
    input_shifts: list[int]
    outputs: list[Value]


def stage_of(stage: object, operations: list[Operation]) -> Stage:
    """Return a stage; both peers use these names for its ends."""
    ends = zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True)
    outputs = [(int(index), int(shift), bool(negative)) for index, shift, negative in ends]
    return Stage(operations, [int(shift) for shift in stage.inp_shifts], outputs)


def question(matrix: np.ndarray) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """Return the matrix as the peers want it, and the intervals and steps of the inputs."""
    kernel = np.ascontiguousarray(matrix.T, dtype=np.float32)
    return kernel, [(float(BYTE.lo), float(BYTE.hi), 1.0)] * matrix.shape[1]


def da4ml(matrix: np.ndarray, score: str) -> tuple[AdderGraph, float]:
    """Return da4ml's graph and the cost it reports."""
    from da4ml.cmvm import solve

    kernel, intervals = question(matrix)
    found = solve(kernel, method0=score, qintervals=intervals, adder_size=1, carry_size=-1)
    stages = []
    for stage in found.solutions:
        operations = [
            (op.opcode, [(op.id0, 0, False), (op.id1, int(op.data), op.opcode == SUBTRACT)])
            for op in stage.ops
        ]
        stages.append(stage_of(stage, operations))
    return graph_of(stages, matrix), float(found.cost)


def alkaid(
    matrix: np.ndarray, score: str, three_operands: bool = False
) -> tuple[AdderGraph, float]:
    """Return alkaid's graph and the cost it reports.

    Parameters
    ----------
    three_operands : after the pass that its RTL writer runs by default, which joins adders to
        adders of three operands
    """
    from alkaid.cmvm import cmvm_solve
    from alkaid.trace.passes import dead_code_elimin, fuse_ternary_adders
    from alkaid.trace.passes.surrogate import add_surrogate

    kernel, intervals = question(matrix)
    found = cmvm_solve(kernel, method0=score, qintervals=intervals)
    if three_operands:
        found = [add_surrogate(dead_code_elimin(fuse_ternary_adders(stage))) for stage in found]
    stages = [stage_of(stage, [alkaid_operation(op) for op in stage.ops]) for stage in found]
    cost = float(sum(op.cost for stage in found for op in stage.ops))
    return graph_of(stages, matrix), cost


def alkaid_operation(op: object) -> Operation:
    """Return opcode and operands of one of alkaid's operations."""
    if op.opcode == READ:
        return READ, [(int(op.data[0]), 0, False)]
    if op.opcode == ADD_THREE:
        places = zip(op.addr, op.data[::2], op.data[1::2], strict=True)
        return ADD_THREE, [(index, int(shift), not plus) for index, plus, shift in places]
    first, second = op.addr
    return op.opcode, [(first, 0, False), (second, int(op.data[0]), op.opcode == SUBTRACT)]


def graph_of(stages: Sequence[Stage], matrix: np.ndarray) -> AdderGraph:
    """Translate a peer's solution."""
    inputs = matrix.shape[1]
    adders: list[Adder] = []
    values: list[Value] = [(k, 0, False) for k in range(inputs)]
    for stage in stages:
        made: list[Value] = []
        for opcode, operands in stage.operations:
            if opcode == READ:
                index = operands[0][0]
                node, shift, negative = values[index]
                made.append((node, shift + stage.input_shifts[index], negative))
                continue
            if opcode not in (ADD, SUBTRACT, ADD_THREE):
                raise SystemExit(f"operation {opcode} is no addition")
            terms = [
                (made[index][0], made[index][1] + shift, made[index][2] ^ negative)
                for index, shift, negative in operands
            ]
            adder, shift, negative = adder_of(terms)
            adders.append(adder)
            made.append((inputs + len(adders) - 1, shift, negative))
        values = [
            (-1, 0, False)
            if index < 0
            else (made[index][0], made[index][1] + shift, made[index][2] ^ negative)
            for index, shift, negative in stage.outputs
        ]
    outputs = tuple(Output(None) if node < 0 else Output(node, s, n) for node, s, n in values)
    return AdderGraph((BYTE,) * inputs, tuple(adders), outputs)


def adder_of(terms: list[Value]) -> tuple[Adder, int, bool]:
    """Return the adder of two or three terms, and shift and sign of its result."""
    terms = sorted(terms, key=lambda term: (term[1], term[2]))
    nodes = [node for node, _, _ in terms]
    low = terms[0][1]
    shifts = [shift - low for _, shift, _ in terms]
    all_negative = all(negative for _, _, negative in terms)
    signs = [negative and not all_negative for _, _, negative in terms]
    third = (nodes[2], shifts[2], signs[2]) if len(terms) == 3 else ()
    return Adder(nodes[0], nodes[1], shifts[1], signs[0], signs[1], *third), low, all_negative
