"""Binary numbers: sign(0) is +1, gradients stop beyond one."""

import pytest
import torch

from hwgen.nn import BinaryConfig, BinaryQuantizer, Sign

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("module", [BinaryQuantizer(BinaryConfig()), Sign()])
def test_sign_of_either_zero_is_plus_one(module):
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 5.0, -5.0])
    assert module(x).tolist() == [1.0, 1.0, 1.0, -1.0, 1.0, -1.0]


def test_gradient_is_identity_up_to_one_and_zero_beyond():
    x = torch.tensor([-1.1, -1.0, -0.3, 0.0, 1.0, 1.1], requires_grad=True)
    Sign()(x).backward(torch.arange(1.0, 7.0))
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]


def test_codes_are_bipolar_integers():
    quantizer = BinaryQuantizer(BinaryConfig())
    assert quantizer.calibrated
    assert quantizer.codes(torch.tensor([[0.0, -2.0]])).tolist() == [[1, -1]]


def test_precision_is_kept():
    assert Sign()(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64
