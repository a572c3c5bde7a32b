"""DistributedDataParallel in two real processes: learned points and outputs are the same in both.

The processes are plain subprocesses (a spawned child would import pytest's main again), talk over
the loopback interface (the machine's own name need not resolve) and end by themselves when one of
them waits too long.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .two_processes import SECONDS, WORLD

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("two_processes.py")


def environment():
    """What a process needs: hwgen on its path, one thread, and a network interface."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        **({} if loopback is None else {"GLOO_SOCKET_IFNAME": loopback}),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_processes")
    arguments = [(str(rank), folder / "store", folder / f"{rank}.pt") for rank in range(WORLD)]
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, *given],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for given in arguments
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=3 * SECONDS)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(path) for _, _, path in arguments]


@pytest.mark.parametrize("run", ["fresh", "resumed"])
def test_processes_agree(results, run):
    first, second = (result[run] for result in results)
    assert first["state"].keys() == second["state"].keys()
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert torch.equal(first["outputs"], second["outputs"])
    assert torch.isfinite(first["outputs"]).all()
    assert first["counts"] == second["counts"]


def test_processes_calibrate_to_the_same_numbers(results):
    first, second = (result["calibrated"]["state"] for result in results)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_ranges_are_those_of_all_batches_together(results):
    # The second process sees numbers ten times as large; 5 bits hold them with no fraction at all.
    for result in results:
        assert result["fresh"]["state"]["0.output_quantizer.max_abs"] > 16
        assert result["fresh"]["state"]["3.output_quantizer.observed"] == 3


def test_one_process_that_is_calibrated_speaks_for_all(results):
    # Else one process would wait for ranges that the other does not send.
    for result in results:
        assert result["resumed"]["counts"] == [1, 1, 1, 1, 3, 1, 1]  # nothing was observed anew
        assert result["resumed"]["state"]["0.output_quantizer.max_abs"] == 0
