"""`--effort` reaches the search for adders, and has its documented default."""

import pytest
from typer.testing import CliRunner

from hwgen.adders.compiled import COMPILED
from hwgen.cli import app
from hwgen.commands import build
from hwgen.errors import ToolError


@pytest.mark.parametrize(
    ("options", "variable", "expected"),
    [
        (["--effort", "3.5"], "7", 3.5),
        ([], "7", 7.0),
        ([], None, 20.0 if COMPILED else 0.0),
    ],
)
def test_effort_reaches_the_pipeline(monkeypatch, options, variable, expected):
    seen = []

    def stop(model, out, options, progress):
        seen.append(options.effort)
        raise ToolError("far enough")

    monkeypatch.setattr(build, "build_directory", stop)
    if variable is None:
        monkeypatch.delenv("HWGEN_EFFORT", raising=False)
    else:
        monkeypatch.setenv("HWGEN_EFFORT", variable)
    CliRunner().invoke(app, ["build", "model.onnx", "--board", "ultra96", *options])
    assert seen == [expected]


def test_no_search_without_numba(monkeypatch):
    monkeypatch.setattr(build, "COMPILED", False)
    assert build.default_effort() == 0.0
