"""Element-wise nodes: each ONNX operator and the float32 steps it means, one line in `TRANSLATORS`.

Adding an operator is a function here and its line in the table.

Source: https://onnx.ai/onnx/operators/ ; the order of float32 operations is that of the reference
evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from hwgen.errors import FrontendError
from hwgen.frontend.site import Site
from hwgen.ops.float_joins import Branch, Combine, Fill, Join
from hwgen.ops.float_steps import (
    Add,
    Apply,
    ApplyBend,
    Bend,
    Clip,
    Curve,
    Divide,
    LeakyRectify,
    Multiply,
    Reals,
    Step,
    reals,
)

Steps = tuple[Step, ...]


def _add(site: Site) -> Steps:
    return (Add(site.channelwise(1 - site.flow_at)),)


def _subtract(site: Site) -> Steps:
    constant = site.channelwise(1 - site.flow_at)
    if site.flow_at == 0:
        return (Add(reals(-constant)),)
    return (Multiply(reals(-1.0)), Add(constant))


def _multiply(site: Site) -> Steps:
    return (Multiply(site.channelwise(1 - site.flow_at)),)


def _divide(site: Site) -> Steps:
    if site.flow_at != 0:
        return combined(site, ((),))
    constant = site.channelwise(1)
    if not constant.all():
        raise FrontendError("expected divisors other than zero, got 0.0")
    return (Divide(constant),)


def _batch_normalization(site: Site) -> Steps:
    if site.attributes.get("training_mode") or len(site.node.output) > 1:
        raise FrontendError("expected inference mode, got training mode; export model.eval()")
    if site.flow_at != 0 or len(site.shape) < 2:
        raise FrontendError(f"expected a channel axis in its input, got shape {site.shape}")
    axes = (-1, *(1,) * (len(site.shape) - 2))  # channels are axis 1, whatever follows
    scale, bias, mean, variance = (site.given(i) for i in (1, 2, 3, 4))
    if scale is None or bias is None or mean is None or variance is None:
        raise FrontendError("expected constant statistics, got computed ones; export model.eval()")
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt(variance.reals() + np.float32(site.number("epsilon", 1e-5)))
    if not (deviation > 0).all():
        raise FrontendError(f"expected variance + epsilon > 0, got {variance.value.min()}")

    def channel(values: npt.NDArray[np.float32]) -> Reals:
        return site.spread(values.reshape(axes), site.node.op_type)

    # scale * (x - mean) / sqrt(variance + epsilon) + bias, in this order
    return (
        Add(channel(-mean.reals())),
        Multiply(channel(scale.reals())),
        Divide(channel(deviation)),
        Add(channel(bias.reals())),
    )


def _relu(site: Site) -> Steps:
    return (Clip(reals(0.0), reals(np.inf)),)


def _bound(site: Site, index: int, attribute: str, default: float) -> Reals:
    constant = site.given(index)
    value = site.attributes.get(attribute, default) if constant is None else constant.value
    bound = np.asarray(value, dtype=np.float32)
    if bound.size != 1 or np.isnan(bound).any():
        raise FrontendError(f"expected one number as bound {attribute!r}, got {value!r}")
    return reals(bound)


def _clip(site: Site) -> Steps:
    low, high = _bound(site, 1, "min", -np.inf), _bound(site, 2, "max", np.inf)
    return (Clip(low, high),)


def _maximum(site: Site) -> Steps:
    if len(site.inputs) != 2:
        return combined(site, ((),))
    return (Clip(site.channelwise(1 - site.flow_at), reals(np.inf)),)


def _minimum(site: Site) -> Steps:
    if len(site.inputs) != 2:
        return combined(site, ((),))
    return (Clip(reals(-np.inf), site.channelwise(1 - site.flow_at)),)


def combined(site: Site, flowing: Sequence[Branch]) -> Steps:
    """Return a node as a function of one number.

    Parameters
    ----------
    flowing : for each input that is no constant, the steps from that number to it
    """
    remaining = iter(flowing)
    every = range(len(site.inputs))
    branches = tuple(
        next(remaining) if site.inputs[k] is None else (Fill(site.channelwise(k)),) for k in every
    )
    kind = "Add" if site.node.op_type == "Sum" else site.node.op_type
    return (Combine(Join(kind), branches),)


def _joined(site: Site) -> Steps:
    return combined(site, ((),))


def _not(site: Site) -> Steps:
    return (Combine(Join.EQUAL, ((), (Fill(reals(0.0)),))),)


def _leaky_relu(site: Site) -> Steps:
    return (LeakyRectify(reals(site.number("alpha", 0.01))),)


def _prelu(site: Site) -> Steps:
    if site.flow_at != 0:
        raise FrontendError("expected a constant slope, got a computed one")
    return (LeakyRectify(site.channelwise(1)),)


def _hard_sigmoid(site: Site) -> Steps:
    alpha, beta = site.number("alpha", 0.2), site.number("beta", 0.5)
    return (Multiply(reals(alpha)), Add(reals(beta)), Clip(reals(0.0), reals(1.0)))


def _negate(site: Site) -> Steps:
    return (Multiply(reals(-1.0)),)


def _curve(site: Site) -> Steps:
    return (Apply(Curve(site.node.op_type)),)


def _gelu(site: Site) -> Steps:
    approximate = site.attributes.get("approximate", b"none")
    if approximate not in (b"none", b"tanh"):
        raise FrontendError(f"expected approximate 'none' or 'tanh', got {approximate!r}")
    if approximate == b"none":
        return (Apply(Curve.GELU),)
    # Half of x, times one and the hyperbolic tangent of a cubic polynomial.
    cube: Branch = (Combine(Join.POWER, ((), (Fill(reals(3.0)),))), Multiply(reals(0.044715)))
    inner = (Combine(Join.ADD, ((), cube)), Multiply(reals(np.sqrt(2 / np.pi))))
    gate: Branch = (*inner, Apply(Curve.TANH), Add(reals(1.0)))
    return (Combine(Join.MULTIPLY, ((Multiply(reals(0.5)),), gate)),)


def _bend(site: Site) -> Steps:
    alpha = site.number("alpha", 1.0)
    if site.node.op_type == "Celu" and alpha == 0:
        raise FrontendError("expected alpha other than 0, got 0; use Relu instead")
    return (ApplyBend(Bend(site.node.op_type), reals(alpha)),)


def _selu(site: Site) -> Steps:
    alpha = site.number("alpha", 1.67326319217681884765625)
    gamma = site.number("gamma", 1.05070102214813232421875)
    return (ApplyBend(Bend.ELU, reals(alpha)), Multiply(reals(gamma)))


def _identity(site: Site) -> Steps:
    return ()


def _dropout(site: Site) -> Steps:
    training = site.given(2)
    if training is not None and training.value.any():
        raise FrontendError("expected inference mode, got training mode; export model.eval()")
    return ()


def _cast(site: Site) -> Steps:
    if site.attributes.get("to") != TensorProto.FLOAT:
        raise FrontendError("expected a cast to float32, got another type; remove the Cast")
    return ()


TRANSLATORS: dict[str, Callable[[Site], Steps]] = {
    "Abs": _curve,
    "Add": _add,
    "And": _joined,
    "Atan": _curve,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Ceil": _curve,
    "Celu": _bend,
    "Clip": _clip,
    "Cos": _curve,
    "Div": _divide,
    "Dropout": _dropout,
    "Elu": _bend,
    "Equal": _joined,
    "Erf": _curve,
    "Exp": _curve,
    "Floor": _curve,
    "Gelu": _gelu,
    "Greater": _joined,
    "GreaterOrEqual": _joined,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _curve,
    "Identity": _identity,
    "LeakyRelu": _leaky_relu,
    "Less": _joined,
    "LessOrEqual": _joined,
    "Log": _curve,
    "Max": _maximum,
    "Mean": _joined,
    "Min": _minimum,
    "Mish": _curve,
    "Mul": _multiply,
    "Neg": _negate,
    "Not": _not,
    "Or": _joined,
    "PRelu": _prelu,
    "Pow": _joined,
    "Reciprocal": _curve,
    "Relu": _relu,
    "Round": _curve,
    "Selu": _selu,
    "Sigmoid": _curve,
    "Sign": _curve,
    "Sin": _curve,
    "Softplus": _curve,
    "Softsign": _curve,
    "Sqrt": _curve,
    "Sub": _subtract,
    "Swish": _bend,
    "Tanh": _curve,
    "ThresholdedRelu": _bend,
    "Where": _joined,
    "Xor": _joined,
}
