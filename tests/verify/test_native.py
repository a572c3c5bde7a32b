"""The compiled model gives the reference's codes, is compiled once, and sees broken promises."""

import shutil

import numpy as np
import pytest

from hwgen.build_directory import read_manifest
from hwgen.errors import ToolError, VerificationError
from hwgen.verify import native_model as native_model_module
from hwgen.verify.native import simulate
from hwgen.verify.native_model import native_model
from tests.verify.designs import folded_graph

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def model(faulty_build):
    """The compiled model; its faults sleep."""
    return native_model(faulty_build)


def stream(model, codes, cuts=(), plusargs=()):
    """Outputs for `codes`, sent in chunks cut at `cuts`, and what the run took."""
    outputs = [np.zeros((0, *model.output_shape), dtype=np.int64)]
    run = simulate(model, np.split(codes, cuts), outputs.append, plusargs)
    return np.concatenate(outputs), run


def random_frames(rng, count):
    return rng.integers(-16, 16, (count, 16))


def test_outputs_equal_the_reference(model, faulty_build, rng):
    codes = random_frames(rng, 5000)
    got, run = stream(model, codes, cuts=(1, 1, 7, 4000))
    assert np.array_equal(got, folded_graph().evaluate(codes))
    assert run.frames == 5000
    assert run.measured_interval_cycles == read_manifest(faulty_build)["interval_cycles"]
    assert run.cycles >= run.frames * run.measured_interval_cycles
    assert 0 < run.simulation_seconds <= run.seconds
    facts = run.as_dict()
    assert facts["frames_per_second"] > 0
    assert facts["cycles_per_second"] > 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_frames_have_no_interval(model, rng, count):
    codes = random_frames(rng, count)
    got, run = stream(model, codes)
    assert np.array_equal(got, folded_graph().evaluate(codes))
    assert run.frames == count
    assert run.measured_interval_cycles is None


def test_wrong_codes_are_handed_out_as_they_are(model, rng):
    codes = random_frames(rng, 200)
    got, _ = stream(model, codes, plusargs=["+flip_sum_bit"])
    assert (got != folded_graph().evaluate(codes)).any()


def test_lost_cycles_show_in_the_interval(model, rng):
    _, run = stream(model, random_frames(rng, 200), plusargs=["+lose_cycles"])
    assert run.measured_interval_cycles > model.interval_cycles


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("invert_tlast", "folded: TLAST comes too early, at output frame 0, beat 1, cycle "),
        ("hang", r"folded: nothing has moved for \d+ cycles, at output frame \d+, beat "),
        ("crash", "the simulation of folded ended with exit code -6 and without results"),
    ],
)
def test_broken_promise_is_an_error(model, rng, fault, message):
    with pytest.raises(VerificationError, match=message):
        stream(model, random_frames(rng, 20000), plusargs=[f"+{fault}"])


def test_an_error_while_reading_frames_stops_the_model(model, rng):
    def frames():
        yield random_frames(rng, 100)
        raise VerificationError("the frames end here")

    with pytest.raises(VerificationError, match="the frames end here"):
        simulate(model, frames(), lambda codes: None)


def test_second_time_nothing_is_compiled(model, faulty_build, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(native_model_module, "_compile", refuse)
    again = native_model(faulty_build)
    assert not again.compiled
    assert again.program == model.program


@pytest.mark.parametrize("changed", ["verilog", "compiler", "options"])
def test_whatever_changes_the_model_has_it_compiled_again(
    model, faulty_build, tmp_path, monkeypatch, changed
):
    copy = tmp_path / "folded"
    shutil.copytree(faulty_build, copy)
    if changed == "verilog":
        source = copy / "rtl" / "fc1.v"
        source.write_text(source.read_text() + "\n")
    elif changed == "compiler":
        monkeypatch.setenv("CXX", "another-g++")
    else:
        monkeypatch.setattr(native_model_module, "_MAKE_VARIABLES", ("OPT_FAST=-O0",))
    monkeypatch.setattr(native_model_module, "_compile", lambda *arguments: None)
    again = native_model(copy)
    assert again.compiled
    assert again.program.parent.name != model.program.parent.name


@pytest.mark.parametrize("tool", ["make", "no-such-compiler"])
def test_missing_tool_is_named_with_advice(faulty_build, tmp_path, monkeypatch, tool):
    copy = tmp_path / "folded"
    shutil.copytree(faulty_build, copy)
    if tool == "make":
        shutil.rmtree(copy / "native", ignore_errors=True)
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CXX", tool)
    with pytest.raises(ToolError, match=f"{tool}: not found on the PATH(?s:.*)apt install") as it:
        native_model(copy)
    assert it.value.exit_code == 3


def test_verilog_that_does_not_compile_is_a_tool_error(faulty_build, tmp_path):
    copy = tmp_path / "broken"
    shutil.copytree(faulty_build, copy)
    (copy / "rtl" / "fc1.v").write_text("module fc1(input broken;\nendmodule\n")
    with pytest.raises(ToolError, match=r"verilator: failed(?s:.*)fc1\.v:1"):
        native_model(copy)
    assert list((copy / "native").iterdir()) == []


def test_program_that_is_gone_bad_is_a_tool_error(model, tmp_path):
    program = tmp_path / "b" / "native" / "key" / "model"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"not a program")
    program.chmod(0o755)
    bad = type(model)(**{**vars(model), "program": program})
    with pytest.raises(ToolError, match="cannot be started"):
        stream(bad, np.zeros((1, 16), dtype=np.int64))


def test_incomplete_directory_is_refused(faulty_build, tmp_path):
    copy = tmp_path / "incomplete"
    shutil.copytree(faulty_build, copy)
    (copy / "rtl" / "fc1.v").unlink()
    with pytest.raises(VerificationError, match="is not whole, build the model again"):
        native_model(copy)
