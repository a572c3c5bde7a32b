"""The regression passes good designs and catches planted faults, naming the layer."""

import json
import os
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from hwgen.build.bench import TESTS
from hwgen.build_directory import read_manifest, update_manifest
from hwgen.errors import ToolError, VerificationError
from hwgen.verify.bench_run import run_bench
from hwgen.verify.regression import verify
from tests.verify.designs import (
    FRAMES,
    SEED,
    binary_graph,
    folded_graph,
    graph_executor,
    make_build,
)

pytestmark = pytest.mark.sim


@pytest.fixture
def check(faulty_build, monkeypatch):
    """Verify the faulty build with some of its faults awake."""

    def run(*faults, **options):
        monkeypatch.setenv("PLUSARGS", " ".join(f"+{fault}" for fault in faults))
        executor = graph_executor(folded_graph())
        return verify(faulty_build, FRAMES, SEED, executor=executor, **options)

    return run


def test_good_design_passes(check, faulty_build, tmp_path):
    steps = []
    junit = tmp_path / "ci" / "junit.xml"
    result = check(junit=junit, progress=lambda name, k, count: steps.append((name, k, count)))
    assert result.failures == ()
    assert result.passed
    assert result.mismatches == 0
    assert result.first_mismatch is None
    manifest = read_manifest(faulty_build)
    assert result.measured_interval_cycles == manifest["interval_cycles"]
    assert result.measured_latency_cycles == manifest["latency_cycles"]
    assert {c["interval_cycles"] for c in result.layers.values()} == {manifest["interval_cycles"]}
    assert result.layers["fc2"]["latency_cycles"] == manifest["latency_cycles"]
    assert manifest["verify"]["layers"] == result.layers
    assert manifest["verify"]["codes_compared"] == result.codes_compared > 4 * FRAMES
    assert manifest["verify"]["frames"] == FRAMES
    assert steps[0] == ("golden codes", 0, 4)
    assert [name for name, _, _ in steps] == ["golden codes", "compile", "simulate", "report"]
    cases = list(ElementTree.parse(junit).getroot().iter("testcase"))
    assert tuple(case.get("name") for case in cases) == TESTS
    json.dumps(result.as_dict())


def test_second_run_uses_the_compiled_model_again(check, faulty_build):
    check()
    model = faulty_build / "tb" / "sim_build" / "folded"
    before = model.stat().st_mtime_ns
    again = check()
    assert not again.compiled
    assert model.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("fault", "layer", "test"),
    [
        ("flip_sum_bit", "fc2", "frames_unhindered"),
        ("raise_threshold", "fc1", "frames_"),
        ("drop_beat", "fc1", "frames_with_backpressure"),
        ("invert_tlast", "m_axis", "frames_unhindered"),
        ("hang", "fc2", "frames_unhindered"),
    ],
)
def test_planted_fault_is_caught_in_its_layer(check, faulty_build, fault, layer, test):
    result = check(fault)
    assert not result.passed
    assert result.mismatches > 0
    assert result.first_mismatch.layer == layer
    assert result.first_mismatch.test.startswith(test)
    assert result.first_mismatch.expected != result.first_mismatch.got
    assert read_manifest(faulty_build)["verify"]["mismatches"] == result.mismatches


def test_mismatch_is_where_the_fault_is(check):
    found = check("raise_threshold").first_mismatch
    # Lane 1 of the third beat of three.
    assert found.channel == 7
    assert found.got == found.expected - 1
    assert found.cycle > 0
    assert found.source == "/a"


def test_lost_cycles_break_the_promised_interval(check):
    result = check("lose_cycles")
    assert result.mismatches == 0
    assert not result.passed
    assert any("promise" in failure for failure in result.failures)
    assert any(failure.startswith("layer_cycles: fc") for failure in result.failures)
    assert result.measured_interval_cycles > 16


def test_beat_withdrawn_under_backpressure(check):
    result = check("withdraw_beat")
    assert result.mismatches == 0
    assert not result.passed
    assert {failure.split(":")[0] for failure in result.failures} == {
        "frames_with_backpressure",
        "frames_with_idles_and_backpressure",
    }
    assert all("tvalid fell before its beat was taken" in f for f in result.failures)


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ("interval_cycles", "interval: a frame every {} cycles measured"),
        ("latency_cycles", "latency: a lone frame took {} cycles"),
    ],
)
def test_manifest_that_promises_more_is_a_failure(check, faulty_build, promise, words):
    promised = read_manifest(faulty_build)[promise]
    update_manifest(faulty_build, **{promise: promised - 1})
    try:
        result = check()
    finally:
        update_manifest(faulty_build, **{promise: promised})
    assert result.failures == (f"{words.format(promised)}, the manifest promises {promised - 1}",)


def test_crash_is_a_failure(check):
    with pytest.raises(VerificationError, match=f"without results; seed {SEED}"):
        check("crash")


def test_no_test_at_all_is_a_failure(faulty_build, tmp_path):
    reference = faulty_build / "reference"
    vectors = np.load(reference / "input.npy"), np.load(reference / "output.npy")
    with pytest.raises(VerificationError, match="without results"):
        run_bench(faulty_build, tmp_path, vectors, SEED, only="no_such_test")


def test_bench_runs_alone_with_make(check, faulty_build, tmp_path):
    check()
    copy = tmp_path / "elsewhere"
    shutil.copytree(faulty_build, copy)
    hidden = tmp_path / "hidden" / "hwgen"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('the bench must not need hwgen')\n")
    environment = {**os.environ, "PYTHONPATH": str(hidden.parent), "PLUSARGS": ""}
    command = ["make", "-C", str(copy / "tb"), f"PYTHON={sys.executable}", "HWGEN_SEED=5"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HWGEN_SEED=5" in done.stdout
    assert f"{len(TESTS)} tests, 0 failed" in done.stdout
    environment["PLUSARGS"] = "+flip_sum_bit"
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode != 0


def test_verilog_that_does_not_compile_is_a_tool_error(check, faulty_build, tmp_path):
    copy = tmp_path / "broken"
    shutil.copytree(faulty_build, copy)
    (copy / "rtl" / "fc1.v").write_text("module fc1(input broken;\nendmodule\n")
    with pytest.raises(ToolError, match=r"compile\.log says:(?s:.*)fc1\.v:1"):
        verify(copy, FRAMES, SEED, executor=graph_executor(folded_graph()))


def test_incomplete_directory_is_refused(faulty_build, tmp_path):
    copy = tmp_path / "incomplete"
    shutil.copytree(faulty_build, copy)
    (copy / "tb" / "bench.json").unlink()
    with pytest.raises(VerificationError, match="is not whole, build the model again"):
        verify(copy, FRAMES, SEED, executor=graph_executor(folded_graph()))


def test_binary_design_with_one_beat_frames(tmp_path):
    graph = binary_graph()
    make_build(tmp_path / "binary", graph)
    result = verify(tmp_path / "binary", FRAMES, SEED, waves=True, executor=graph_executor(graph))
    assert result.failures == ()
    assert result.measured_interval_cycles == 1
    assert result.waves.read_text().startswith("$version")
