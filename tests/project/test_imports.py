"""Imports point one way, files stay small, and starting up costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "hwgen").rglob("*.py"))
ALL_SOURCES = sorted(
    path
    for folder in ("hwgen", "tests", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)

# Room -> what it may import of hwgen. A room is a folder, or a file at the top. Every room may
# import `errors` and `hwgen` itself (the version). An entry with a dot names one module.
BASE = {"cost", "numeric"}
GRAPH = {*BASE, "ir"}
ALLOWED = {
    "errors": set(),
    "cost": set(),
    "resources": set(),
    "board": {"cost", "resources"},
    "numeric": set(),
    "nn": {"numeric"},
    "ir": BASE,
    "adders": {"numeric", "resources"},
    "rtl": {*GRAPH, "adders"},
    "ops": {*GRAPH, "rtl", "adders"},
    "frontend": {*GRAPH, "ops"},
    "passes": {*GRAPH, "ops"},
    "mapping": {*GRAPH, "ops", "rtl", "adders", "board"},
    "accelerator": {*GRAPH, "ops", "rtl", "mapping"},
    "build_directory": set(),
    "callable_module": set(),
    "verify": {*GRAPH, "ops", "rtl", "mapping", "accelerator", "resources", "board"}
    | {"frontend", "build_directory", "callable_module"},
    "build": {*GRAPH, "ops", "rtl", "mapping", "accelerator", "resources", "board", "verify"}
    | {"callable_module"},
    "report": {"resources", "cost", "board"},
}
ANYTHING = ("pipeline", "commands", "cli", "__main__", "hwgen")  # they only put rooms together

# Package from PyPI -> the rooms that may import it.
FOREIGN = {
    "torch": {"nn"},
    "onnx": {"nn", "frontend"},
    "amaranth": {"ops", "rtl", "accelerator", "build"},
    "pyosys": {"build"},
    "jinja2": {"build", "report"},
    "typer": {"cli"},
    "rich": {"cli", "commands", "report"},
    "cocotb": set(),
    "cocotbext": set(),
    "qonnx": set(),
    "onnxruntime": set(),
    "sklearn": {"commands"},
}


def relative(path):
    return path.relative_to(ROOT).as_posix()


def room_of(path):
    inside = path.relative_to(ROOT / "hwgen").with_suffix("").parts
    return "hwgen" if inside[0] == "__init__" else inside[0]


def parsed(paths):
    return ((path, ast.parse(path.read_text())) for path in paths)


def imported_modules(tree):
    """Names of the modules that code imports when it runs, those inside functions included."""
    type_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in type_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "hwgen":
                yield from (f"hwgen.{alias.name}" for alias in node.names)
            else:
                yield node.module


def violations(room, modules):
    for module in modules:
        package, *inside = module.split(".")
        if package in FOREIGN and room not in FOREIGN[package]:
            yield module
        if package != "hwgen" or room in ANYTHING or not inside or inside[0].startswith("__"):
            continue
        free = {room, "errors"}
        if not {inside[0], ".".join(inside[:2])} & (ALLOWED[room] | free):
            yield module


def test_imports_point_one_way():
    wrong = {
        relative(path): list(violations(room_of(path), imported_modules(tree)))
        for path, tree in parsed(SOURCES)
    }
    assert {path: modules for path, modules in wrong.items() if modules} == {}


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("numeric", "import torch"),
        ("numeric", "from hwgen.ir import Graph"),
        ("ir", "def f():\n  from hwgen.ops.matvec import MatVec"),
        ("ops", "import onnx.helper"),
        ("rtl", "from hwgen.accelerator.top import Top"),
        ("verify", "from hwgen.build.emit import emit_verilog"),
        ("build", "from hwgen import nn"),
        ("nn", "import cocotb"),
    ],
)
def test_a_wrong_import_is_noticed(room, line):
    assert list(violations(room, imported_modules(ast.parse(line)))) != []


def budget(path):
    name = relative(path)
    if name.startswith("hwgen/passes/"):
        return 150
    if name.startswith("hwgen/ops/") and "\nCASES" in path.read_text():
        return 250
    return 400


def test_files_keep_their_budgets():
    lengths = {path: len(path.read_text().splitlines()) for path in ALL_SOURCES}
    too_long = {
        relative(path): f"{length} lines, at most {budget(path)}"
        for path, length in lengths.items()
        if length > budget(path)
    }
    assert too_long == {}


def test_functions_fit_a_screen():
    """Forty lines, the docstring not counted."""
    too_long = {}
    for path, tree in parsed(SOURCES):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
                body = node.body[1 if has_docstring else 0 :]
                lines = node.end_lineno - body[0].lineno + 1
                if lines > 40:
                    too_long[f"{relative(path)}: {node.name}"] = lines
    assert too_long == {}


def modules_after(code):
    """Names of the modules that a fresh interpreter has loaded after `code`."""
    report = "import sys; print('modules:', *sys.modules)"
    wrapped = f"try:\n    {code}\nexcept SystemExit:\n    pass\n{report}"
    done = subprocess.run(
        [sys.executable, "-c", wrapped], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.rsplit("modules:", 1)[1].split()}


HEAVY = {"torch", "onnx", "amaranth", "numpy", "pyosys", "cocotb", "jinja2"}


def test_help_loads_nothing_heavy():
    code = "import sys; sys.argv = ['hwgen', '--help']; from hwgen.cli import main; main()"
    assert modules_after(code) & HEAVY == set()


def test_import_hwgen_loads_nothing_heavy():
    assert modules_after("import hwgen") & HEAVY == set()


def test_building_does_not_load_torch():
    code = "import hwgen.pipeline, hwgen.frontend, hwgen.build.emit, hwgen.commands.build"
    assert "torch" not in modules_after(code)
