"""Foreign names never become identifiers; harmless ones stay readable."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.frontend import load_model
from hwgen.frontend.names import RESERVED, Namer
from hwgen.ir import IDENTIFIER
from tests.frontend.models import Builder

HOSTILE = [
    "a b",
    "a\nendmodule",
    "x;y",
    "[exec rm -rf /]",
    "$finish",
    "\\escaped ",
    'q"uote',
    "nul\0",
    "../../etc/passwd",
    "‮reversed",
    "x" * 5000,
    "`include",
    "{{ jinja }}",
    "ünïcode",
    "",
    "%s%n",
    "con",
    "module",
    "9lives",
    "_",
    "__",
    "/",
]


@pytest.mark.parametrize(
    ("foreign", "kind", "expected"),
    [
        ("fc1", "MatMul", "fc1"),
        ("/model/fc1/MatMul", "MatMul", "model_fc1"),
        ("/fc1/MatMul_3", "MatMul", "fc1"),
        ("MatMul_16", "MatMul", "matmul_16"),
        ("act1.quant", "Quant", "act1"),
        ("Layer:0-A", "Gemm", "layer_0_a"),
        ("74", "Quant", "n74"),
        ("wire", "MatMul", "wire_matmul"),
        ("a; $finish", "MatMul", "n0007_matmul"),
        ("", "Gemm", "n0007_gemm"),
    ],
)
def test_names(foreign, kind, expected):
    assert Namer().name(foreign, kind, 7) == expected


def test_parts_of_a_node():
    namer = Namer()
    assert namer.name("/conv1/Conv", "Conv", 3, "window") == "conv1_window"
    assert namer.name("/conv1/Conv", "Conv", 3) == "conv1"
    assert namer.name("a; $finish", "Conv", 7, "border") == "n0007_conv_border"


@given(names=st.lists(st.text() | st.sampled_from(HOSTILE), max_size=30))
def test_names_are_distinct_identifiers(names):
    namer = Namer()
    given = [namer.name(name, "MatMul", index) for index, name in enumerate(names)]
    assert len(set(given)) == len(given)
    for name in given:
        assert IDENTIFIER.fullmatch(name)
        assert name not in RESERVED


def test_reserved_words_are_words():
    assert all(re.fullmatch(r"[a-z_0-9]+", word) for word in RESERVED)
    assert {"always", "logic", "architecture", "while", "foreach", "lambda"} <= RESERVED


@pytest.mark.parametrize("hostile", HOSTILE, ids=json.dumps)
def test_hostile_names_in_a_model(hostile):
    b = Builder()
    y = b.node("MatMul", b.quant("x"), b.weights([[1, 2], [3, 4], [5, 6], [7, -8]]))
    model = b.model(b.quant(y))
    for node in model.graph.node:
        node.name = hostile
    model.graph.name = hostile or "g"
    model.graph.input[0].name = hostile or "x"
    model.graph.node[0].input[0] = hostile or "x"
    graph = load_model(model)
    names = [graph.name, *(i.name for i in graph.inputs), *(n.name for n in graph.nodes)]
    assert len(set(names)) == len(names)
    assert all(IDENTIFIER.fullmatch(name) for name in names)
    assert graph.nodes[0].source == hostile
