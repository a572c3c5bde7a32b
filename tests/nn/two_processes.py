"""One of two processes that train a model together; run by `test_distributed.py`.

    python two_processes.py RANK STORE RESULT

The process group meets at the file STORE; what this process ends up with goes to the file RESULT.
"""

import datetime
import faulthandler
import sys

import torch
from torch import distributed, nn

import hwgen.nn as hnn

WORLD = 2
SECONDS = 60  # what one process waits for the other


def network():
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)),
        hnn.Conv1d(2, 6, 3, padding=1, bias=False, weight=hnn.KHotConfig(6, per_channel=True)),
        hnn.BatchNorm1d(6),
        hnn.ReLU(output=hnn.FixedPointConfig(6, signed=False, calibration_batches=3)),
        hnn.Flatten(),
        hnn.Linear(24, 4, weight=hnn.FixedPointConfig(5, learning=hnn.Learning.SCALE)),
    )


def train_together(rank, model, batches):
    """Return the state and the outputs that this process has after some steps."""
    model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for batch in batches:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    model.eval()
    same_for_all = torch.randn(7, 2, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = model(same_for_all)
    counts = [m._seen for m in model.modules() if isinstance(m, hnn.FixedPointQuantizer)]
    return {"state": model.module.state_dict(), "outputs": outputs, "counts": counts}


def calibrate_together(batches):
    """Return the state after calibration, which each process does on batches of its own."""
    torch.manual_seed(0)
    model = network()
    hnn.calibrate(model, batches, hnn.CalibrationMethod.PERCENTILE, percentile=95)
    hnn.correct_biases(model, batches)
    return {"state": model.state_dict()}


def main():
    rank, store, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=WORLD,
        timeout=datetime.timedelta(seconds=SECONDS),
    )
    torch.manual_seed(rank)  # other weights and other data in each process
    batches = [torch.randn(8, 2, 4) * (1 + 9 * rank) for _ in range(5)]
    fresh = train_together(rank, network(), batches)
    model = network()
    if rank == 0:
        # As after a checkpoint that one process alone has read: DistributedDataParallel hands its
        # parameters and buffers on.
        source = network()
        for quantizer in source.modules():
            if isinstance(quantizer, hnn.FixedPointQuantizer):
                quantizer.set_frac(torch.full_like(quantizer.max_abs, 3.0))
        model.load_state_dict(source.state_dict())
    resumed = train_together(rank, model, batches)
    calibrated = calibrate_together(batches)
    torch.save({"fresh": fresh, "resumed": resumed, "calibrated": calibrated}, result)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
