"""Wires go away; anything that changes a code, or a scale somebody reads, stays."""

import numpy as np
import pytest

from hwgen.ir.text import parse_graph, print_graph
from hwgen.ops.registry import IR_OPERATORS
from hwgen.passes import RemoveIdentity, run_passes

HEAD = """graph g

%x : [2] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
%fc : [2] -75..75 scale {fc} = matvec(%x) weights=[[3 2] [5 -5]] pe=1 simd=1 kernel=mac pixels=1
"""


def wire(name, reads, low, high, scale="0x1p-3", codes=None, line="[1] offset=[0] shift=0"):
    return (
        f"%{name} : [2] {low}..{high} scale {scale} = requantize(%{reads}) multiplier={line} "
        f"rounding=TRN codes={codes or f'{low}..{high}'} pe=1\n"
    )


def after(text):
    before = parse_graph(text, IR_OPERATORS)
    graph = run_passes(before, [RemoveIdentity()])
    codes = np.array([[-8, 7], [3, -1], [0, 0]])
    assert np.array_equal(graph.evaluate(codes), before.evaluate(codes))
    assert np.array_equal(
        graph.dequantize(graph.evaluate(codes)), before.dequantize(before.evaluate(codes))
    )
    return print_graph(graph)


def test_before_and_after():
    text = HEAD.format(fc="0x1p-3") + wire("w", "fc", -75, 75, codes="-128..127") + "output %w\n"
    assert after(text) == HEAD.format(fc="0x1p-3") + "output %fc\n"


def test_the_scale_moves_to_the_node_before():
    text = HEAD.format(fc="0x1p-3") + wire("w", "fc", -75, 75, "0x1p+4") + "output %w\n"
    assert after(text) == HEAD.format(fc="0x1p+4") + "output %fc\n"


def test_two_wires_in_a_row():
    text = HEAD.format(fc="0x1p-3") + wire("v", "fc", -75, 75) + wire("w", "v", -75, 75)
    assert after(text + "output %w\n") == HEAD.format(fc="0x1p-3") + "output %fc\n"


@pytest.mark.parametrize(
    ("low", "high", "line"),
    [
        (-75, 70, "[1] offset=[0] shift=0"),
        (-74, 76, "[1] offset=[1] shift=0"),
        (-150, 150, "[2] offset=[0] shift=0"),
        (-38, 37, "[1] offset=[0] shift=1"),
    ],
)
def test_left_alone_when_a_code_changes(low, high, line):
    text = HEAD.format(fc="0x1p-3") + wire("w", "fc", low, high, line=line) + "output %w\n"
    assert after(text) == text


def test_left_alone_when_the_input_would_change_its_scale():
    text = HEAD.split("%fc")[0]
    text += wire("v", "x", -8, 7, "0x1p-9") + wire("w", "v", -8, 7, "0x1p-9") + "output %w\n"
    assert "%v" in after(text)
    assert "%w" not in after(text)
