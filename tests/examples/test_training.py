"""The examples' training loop: a stopped run ends where an uninterrupted one does."""

import pytest
import torch

import hwgen.nn as hnn

pytestmark = pytest.mark.torch


def small_model():
    torch.manual_seed(5)
    return torch.nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(6)),
        hnn.Linear(6, 8, weight=hnn.FixedPointConfig(4)),
        hnn.BatchNorm1d(8),
        hnn.Sign(hnn.Estimator.IR_NET),
        hnn.Linear(8, 3, weight=hnn.BinaryConfig()),
    )


@pytest.fixture
def train(example):
    training = example("training")
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 6, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)

    def train(checkpoint, epochs, stop_after=None):
        """Train; with `stop_after`, break off there and go on in a second call."""

        class Stopped(Exception):
            pass

        done = []

        def validate(model):
            if len(done) == stop_after:
                raise Stopped
            done.append(0)
            return training.accuracy(model, inputs, labels)

        def once():
            model = small_model()
            torch.manual_seed(9)
            history = training.fit(
                model,
                inputs,
                labels,
                training.Plan(epochs, 16, learning_rate=0.02),
                title="test",
                checkpoint=checkpoint,
                validate=validate,
                schedule=hnn.Schedule(model, total=2 * epochs),
            )
            return model, history

        if stop_after is not None:
            with pytest.raises(Stopped):
                once()
            stop_after = None
        return once()

    return train


def test_resuming_changes_nothing(train, tmp_path):
    model, history = train(tmp_path / "whole.pt", epochs=4)
    again, resumed = train(tmp_path / "parts.pt", epochs=4, stop_after=2)
    assert resumed == history
    assert len(history) == 4
    for (name, value), other in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name
    assert model[3].output_quantizer.progress == again[3].output_quantizer.progress == 1.0


def test_a_finished_run_is_only_read(train, tmp_path):
    model, history = train(tmp_path / "run.pt", epochs=2)
    written = (tmp_path / "run.pt").read_bytes()
    again, same = train(tmp_path / "run.pt", epochs=2)
    assert same == history
    assert (tmp_path / "run.pt").read_bytes() == written
    assert all(
        torch.equal(value, other)
        for value, other in zip(
            model.state_dict().values(), again.state_dict().values(), strict=True
        )
    )
