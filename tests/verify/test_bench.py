"""What is written into `tb/`."""

import ast
import json

import pytest

from hwgen.build.bench import TESTS, bench_tests
from hwgen.resources import data_folder
from hwgen.rtl.axi.registers import OFFSETS
from tests.verify.designs import binary_graph, folded_graph, make_build


def test_every_test_of_the_bench_is_expected_to_run():
    text = (data_folder("rtl_templates") / "tb" / "test_accelerator.py").read_text()
    tests = [
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
    ]
    assert tuple(tests) == TESTS


def test_one_beat_frames_have_no_early_tlast():
    assert bench_tests(folded_graph()) == TESTS
    assert set(TESTS) - set(bench_tests(binary_graph())) == {"early_tlast"}


@pytest.mark.parametrize("graph", [folded_graph(), binary_graph()], ids=lambda g: g.name)
def test_folder(tmp_path, graph):
    design = make_build(tmp_path / "build", graph)
    folder = tmp_path / "build" / "tb"
    assert sorted(path.name for path in folder.iterdir()) == [
        "Makefile",
        "bench.json",
        "harness.py",
        "layer_monitor.v",
        "monitors.sv",
        "packing.py",
        "run.py",
        f"test_{graph.name}.py",
        "visible.vlt",
    ]
    bench = json.loads((folder / "bench.json").read_text())
    assert bench["top"] == design.top
    assert all((folder / name).resolve().is_file() for name in bench["sources"])
    assert bench["registers"] == OFFSETS
    assert bench["input"]["format"]["tdata_bits"] == design.s_axis_bits
    assert bench["output"]["format"]["tdata_bits"] == design.m_axis_bits
    for path in folder.glob("*.py"):
        assert "import hwgen" not in path.read_text()
        assert "from hwgen" not in path.read_text()


def test_same_bytes_every_time(tmp_path):
    texts = []
    for name in ("one", "two"):
        make_build(tmp_path / name, folded_graph())
        files = sorted((tmp_path / name / "tb").iterdir())
        texts.append([(path.name, path.read_bytes()) for path in files])
    assert texts[0] == texts[1]


def test_instances_that_had_to_be_renamed(tmp_path):
    make_build(tmp_path / "build", binary_graph())
    bench = json.loads((tmp_path / "build" / "tb" / "bench.json").read_text())
    probe = bench["probes"][1]
    assert (probe["layer"], probe["instance"]) == ("counters", "counters_layer")
    assert "valid(counters_layer.o_valid)" in (tmp_path / "build/tb/monitors.sv").read_text()
    top = (tmp_path / "build" / "rtl" / "binary.v").read_text()
    for probe in bench["probes"]:
        assert f" {probe['instance']} (" in top
