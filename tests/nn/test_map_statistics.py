"""Batch statistics of maps: values and gradients of the fused functions and of BatchNorm2d."""

import numpy as np
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.nn.map_statistics import line, moments

pytestmark = pytest.mark.torch


def test_batchnorm2d_keeps_the_statistics_of_its_twin():
    torch.manual_seed(0)
    fine = hnn.FixedPointConfig(24, frac=20)
    layer, twin = hnn.BatchNorm2d(3, scale=fine, bias=fine), nn.BatchNorm2d(3)
    x = torch.randn(6, 3, 4, 5) * 3 + 1
    assert torch.allclose(layer(x), twin(x), atol=1e-4)
    assert torch.allclose(layer.running_mean, twin.running_mean, atol=1e-6)
    assert torch.allclose(layer.running_var, twin.running_var, rtol=1e-5)
    assert np.allclose(layer.eval()(x).detach(), twin.eval()(x).detach(), atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 2, 5), (2, 2, 3, 3)])
def test_fused_statistics_have_the_gradients_of_plain_ones(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    scale, bias = (torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(moments, (x,))
    centre = x.detach().mean([0, *range(2, x.dim())])
    assert torch.autograd.gradcheck(lambda *tensors: line(*tensors, centre), (x, scale, bias))


def test_batchnorm2d_has_the_gradients_of_its_twin():
    torch.manual_seed(0)
    fine = hnn.FixedPointConfig(24, frac=18)
    layer, twin = hnn.BatchNorm2d(3, scale=fine, bias=fine), nn.BatchNorm2d(3)
    x = torch.randn(6, 3, 4, 5) * 3 + 1
    upstream = torch.randn(6, 3, 4, 5)
    found, expected = (v.clone().requires_grad_() for v in (x, x))
    layer(found).backward(upstream)
    twin(expected).backward(upstream)
    assert torch.allclose(found.grad, expected.grad, atol=1e-4)
    assert torch.allclose(layer.weight.grad, twin.weight.grad, rtol=1e-3, atol=1e-3)
    assert torch.allclose(layer.bias.grad, twin.bias.grad, rtol=1e-3, atol=1e-3)
