"""`hwgen run` with both engines: the same real numbers, checked, in bounded chunks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hwgen.cli import app
from hwgen.commands import run as run_module
from hwgen.commands.run import Comparison, run_build
from hwgen.errors import HwgenError
from tests.verify.designs import binary_graph, make_build


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "binary"
    make_build(out, binary_graph())
    return out


@pytest.fixture
def frames(tmp_path: Path, rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=(300, 8)).astype(np.float32)
    np.save(tmp_path / "in.npy", values)
    return values


def hwgen(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["run", *(str(argument) for argument in arguments)])


def expected(frames: np.ndarray) -> np.ndarray:
    graph = binary_graph()
    return graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames))).astype(np.float32)


@pytest.mark.parametrize("count", [1, 7, 1 << 20])
def test_chunks_do_not_change_the_outputs(
    build: Path, frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(run_module, "_REFERENCE_CODES", count * 8)
    steps = []
    summary = run_build(
        build,
        tmp_path / "in.npy",
        tmp_path / "out.npy",
        progress=lambda what, done, total: steps.append((what, done, total)),
    )
    got = np.load(tmp_path / "out.npy")
    assert got.dtype == np.float32
    assert np.array_equal(got, expected(frames))
    assert summary["shape"] == [300, 4]
    assert summary["frames"] == 300
    assert steps[0] == ("reference", 0, 300)
    assert steps[-1] == ("reference", 300, 300)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_outputs_may_replace_the_inputs(build: Path, frames: np.ndarray, tmp_path: Path) -> None:
    run_build(build, tmp_path / "in.npy", tmp_path / "in.npy")
    assert np.array_equal(np.load(tmp_path / "in.npy"), expected(frames))
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


def test_no_frames_give_no_outputs(build: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((0, 8), dtype=np.float32))
    run_build(build, tmp_path / "in.npy", tmp_path / "out.npy")
    assert np.load(tmp_path / "out.npy").shape == (0, 4)


def test_wrong_frames_leave_nothing_behind(build: Path, tmp_path: Path) -> None:
    frames = np.zeros((9, 8), dtype=np.float32)
    frames[8, 3] = np.nan
    np.save(tmp_path / "nan.npy", frames)
    np.save(tmp_path / "shape.npy", frames[:, :7])
    np.save(tmp_path / "scalar.npy", np.float32(1))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    before = set(tmp_path.iterdir())
    for name, message in (
        ("nan", "NaN"),
        ("shape", "expected"),
        ("scalar", "expected one array of numbers"),
        ("text", "expected one array of numbers"),
    ):
        with pytest.raises(HwgenError, match=message):
            run_build(build, tmp_path / f"{name}.npy", tmp_path / "out.npy")
    assert set(tmp_path.iterdir()) == before


def test_target_that_cannot_be_written(build: Path, frames: np.ndarray, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "out.npy", tmp_path / "in.npy" / "out.npy"):
        with pytest.raises(HwgenError, match="cannot be written"):
            run_build(build, tmp_path / "in.npy", target)


def test_check_without_the_verilog_is_a_usage_error(build: Path, tmp_path: Path) -> None:
    result = hwgen(build, tmp_path / "in.npy", tmp_path / "out.npy", "--check")
    assert result.exit_code == 2
    assert "--engine rtl" in result.output


def test_first_mismatch_is_kept() -> None:
    comparison = Comparison()
    zeros = np.zeros((5, 2, 3), dtype=np.int64)
    comparison.add(0, zeros, zeros)
    assert comparison.as_dict()["passed"]
    wrong = zeros.copy()
    wrong[3, 1, 0] = wrong[4, 0, 0] = -7
    comparison.add(5, zeros, wrong)
    comparison.add(10, zeros, wrong)
    assert comparison.as_dict() == {
        "passed": False,
        "codes_compared": 90,
        "mismatches": 4,
        "first_mismatch": {"frame": 8, "code": 3, "expected": 0, "got": -7},
    }


@pytest.mark.sim
def test_verilog_equals_the_reference(build: Path, frames: np.ndarray, tmp_path: Path) -> None:
    paths = tmp_path / "in.npy", tmp_path / "out.npy"
    result = hwgen(build, *paths, "--engine", "rtl", "--check", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert np.array_equal(np.load(paths[1]), expected(frames))
    assert summary["engine"] == "rtl"
    assert summary["frames"] == 300
    assert summary["measured_interval_cycles"] == summary["interval_cycles"] == 1
    assert summary["cycles"] >= 300
    assert summary["compiled"] is True
    assert summary["check"]["codes_compared"] == 300 * 4
    again = hwgen(build, *paths, "--engine", "rtl")
    assert again.exit_code == 0, again.output
    assert "300 frames in" in again.output
    assert "a frame every 1 (1 promised)" in again.output
    _another_reference(build)
    result = hwgen(build, *paths, "--engine", "rtl", "--check")
    assert result.exit_code == 1
    assert " of 1200 codes differ from the reference" in result.output
    assert "first: frame " in result.output


def _another_reference(build: Path) -> None:
    """Change the weights of channel 0 of the reference."""
    path = build / "reference" / "graph.txt"
    text = path.read_text()
    changed = text.replace("\n1 -1 -1 -1 -1 1 1 1\n", "\n1 1 1 1 1 -1 -1 -1\n")
    assert changed != text
    path.write_text(changed)
