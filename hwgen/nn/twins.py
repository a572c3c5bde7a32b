"""The quantized twin of each torch.nn layer and function: the tables of `prepare`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import torch
import torch.nn.functional as F
from torch import fx, nn

from hwgen.nn.activations import Hardtanh, PReLU, ReLU, ReLU6, Sign
from hwgen.nn.batchnorm import BatchNorm1d, BatchNorm2d
from hwgen.nn.config import BinaryConfig, NumberConfig, OutputConfig
from hwgen.nn.embedding import Embedding
from hwgen.nn.layers import BIAS_8, SIGNED_8, Conv1d, Conv2d, Linear, Weighted
from hwgen.nn.structure import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    Add,
    AvgPool1d,
    AvgPool2d,
    Cat,
)
from hwgen.nn.weight_config import WeightConfig


@dataclass(frozen=True)
class LayerConfig:
    """How one layer is quantized.

    Parameters
    ----------
    weight : of Linear and convolutions; of Embedding where it is one of the NumberConfigs
    bias : of them and of BatchNorm
    scale : of BatchNorm, and slopes
    output : of the result, where it has to be integer; unsigned behind ReLU and ReLU6, and with
        BinaryConfig the activation itself becomes Sign
    exact : check sums in eval mode, as in `layers.py`; of Linear and convolutions
    fold_batchnorm : put a BatchNorm that directly follows into the weights; of Linear and
        convolutions
    """

    weight: WeightConfig = SIGNED_8
    bias: NumberConfig = BIAS_8
    scale: NumberConfig = SIGNED_8
    output: OutputConfig = SIGNED_8
    exact: bool = False
    fold_batchnorm: bool = False


class Role(Enum):
    """What a layer's result is."""

    SUM = "sum"  # exact; quantized only where what follows needs integers
    VALUE = "value"  # always quantized


@dataclass(frozen=True)
class Twin:
    """How a layer is replaced; `reads_sums` says that its input need not be quantized."""

    role: Role
    reads_sums: bool
    make: Callable[..., nn.Module]

    def build(self, layer: nn.Module, config: LayerConfig, quantize: bool) -> nn.Module:
        """Return the twin with the weights of `layer`."""
        made = self.make(layer, config, config.output if quantize else None)
        if not isinstance(layer, Add | Cat):
            made.load_state_dict(layer.state_dict(), strict=False)
        if isinstance(made, Weighted):
            made.weight_quantizer.restart(made.weight)
        return made


def _linear(layer: nn.Linear, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    return Linear(
        layer.in_features,
        layer.out_features,
        layer.bias is not None,
        weight=config.weight,
        bias_format=config.bias,
        output=output,
        exact=config.exact,
    )


def _convolution(kind: type[Conv1d] | type[Conv2d]) -> Callable[..., nn.Module]:
    def make(
        layer: nn.Conv1d | nn.Conv2d, config: LayerConfig, output: OutputConfig | None
    ) -> nn.Module:
        return kind(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
            weight=config.weight,
            bias_format=config.bias,
            output=output,
            exact=config.exact,
        )

    return make


def _batchnorm(kind: type[BatchNorm1d] | type[BatchNorm2d]) -> Callable[..., nn.Module]:
    def make(layer: nn.BatchNorm1d, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
        return kind(
            layer.num_features,
            layer.eps,
            layer.momentum,
            layer.affine,
            scale=config.scale,
            bias=config.bias,
            output=output,
        )

    return make


def _relu(layer: nn.Module, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    if isinstance(config.output, BinaryConfig):
        return Sign(config.output.estimator)
    return ReLU(output=replace(config.output, signed=False))


def _relu6(layer: nn.Module, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    if isinstance(config.output, BinaryConfig):
        return Sign(config.output.estimator)
    return ReLU6(output=replace(config.output, signed=False))


def _hardtanh(layer: nn.Hardtanh, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    if isinstance(config.output, BinaryConfig):
        return Sign(config.output.estimator)
    return Hardtanh(layer.min_val, layer.max_val, output=config.output)


def _prelu(layer: nn.PReLU, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    return PReLU(layer.num_parameters, slope=config.scale, output=output)


def _average(kind: type[AvgPool1d] | type[AvgPool2d]) -> Callable[..., nn.Module]:
    def make(layer: nn.AvgPool2d, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
        return kind(layer.kernel_size, layer.stride, output=output)

    return make


def _adaptive(
    kind: type[AdaptiveAvgPool1d] | type[AdaptiveAvgPool2d],
) -> Callable[..., nn.Module]:
    def make(
        layer: nn.AdaptiveAvgPool2d, config: LayerConfig, output: OutputConfig | None
    ) -> nn.Module:
        # What is not 1 is refused by the twin itself.
        return kind(layer.output_size, output=output)  # type: ignore[arg-type]

    return make


def _embedding(layer: nn.Embedding, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    weight = config.weight if isinstance(config.weight, NumberConfig) else SIGNED_8
    return Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx, weight=weight)


def _add(layer: nn.Module, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    return Add(output=output)


def _cat(layer: nn.Module, config: LayerConfig, output: OutputConfig | None) -> nn.Module:
    return Cat(output=output)


MODULES: dict[type[nn.Module], Twin] = {
    nn.Linear: Twin(Role.SUM, False, _linear),
    nn.Conv1d: Twin(Role.SUM, False, _convolution(Conv1d)),
    nn.Conv2d: Twin(Role.SUM, False, _convolution(Conv2d)),
    nn.BatchNorm1d: Twin(Role.SUM, True, _batchnorm(BatchNorm1d)),
    nn.BatchNorm2d: Twin(Role.SUM, True, _batchnorm(BatchNorm2d)),
    nn.ReLU: Twin(Role.VALUE, True, _relu),
    nn.ReLU6: Twin(Role.VALUE, True, _relu6),
    nn.Hardtanh: Twin(Role.VALUE, True, _hardtanh),
    nn.PReLU: Twin(Role.VALUE, True, _prelu),
    nn.AvgPool1d: Twin(Role.VALUE, False, _average(AvgPool1d)),
    nn.AvgPool2d: Twin(Role.VALUE, False, _average(AvgPool2d)),
    nn.AdaptiveAvgPool1d: Twin(Role.VALUE, False, _adaptive(AdaptiveAvgPool1d)),
    nn.AdaptiveAvgPool2d: Twin(Role.VALUE, False, _adaptive(AdaptiveAvgPool2d)),
    nn.Embedding: Twin(Role.VALUE, False, _embedding),
    Add: Twin(Role.SUM, False, _add),
    Cat: Twin(Role.VALUE, False, _cat),
}
# They do nothing to numbers, and stay as they are.
PASSING = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.Flatten,
    nn.Upsample,
    nn.Dropout,
    nn.Identity,
)

Made = tuple[nn.Module, Sequence[fx.Node]]
Arguments = Sequence[object]
Keywords = Mapping[str, object]


def _tensors(values: object) -> list[fx.Node] | None:
    if isinstance(values, list | tuple) and all(isinstance(v, fx.Node) for v in values):
        return list(values)
    return None


def _sum_of(args: Arguments, kwargs: Keywords) -> Made | None:
    tensors = _tensors(args)
    return (Add(output=None), tensors) if tensors and len(tensors) == 2 and not kwargs else None


def _cat_of(args: Arguments, kwargs: Keywords) -> Made | None:
    tensors = _tensors(args[0])
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    return (Cat(output=None), tensors) if tensors and dim == 1 else None


def _flatten_of(args: Arguments, kwargs: Keywords) -> Made | None:
    start = kwargs.get("start_dim", args[1] if len(args) > 1 else 0)
    tensors = _tensors(args[:1])
    whole = len(args) < 3 and "end_dim" not in kwargs
    return (nn.Flatten(), tensors) if tensors and start == 1 and whole else None


def _layer_of(kind: Callable[..., nn.Module]) -> Callable[[Arguments, Keywords], Made | None]:
    """For functions whose other arguments are those of the layer, `inplace` and the like aside."""

    def make(args: Arguments, kwargs: Keywords) -> Made | None:
        tensors = _tensors(args[:1])
        given = {k: v for k, v in kwargs.items() if k not in ("inplace", "training") and v}
        return (kind(*args[1:], **given), tensors) if tensors else None

    return make


def _dropout_of(args: Arguments, kwargs: Keywords) -> Made | None:
    tensors = _tensors(args[:1])
    share = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return (nn.Dropout(share), tensors) if tensors and isinstance(share, float) else None


def _zero_pad_of(args: Arguments, kwargs: Keywords) -> Made | None:
    tensors, sides = _tensors(args[:1]), kwargs.get("pad", args[1] if len(args) > 1 else None)
    mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
    value = kwargs.get("value", args[3] if len(args) > 3 else None)
    kinds: dict[int, Callable[..., nn.Module]] = {2: nn.ZeroPad1d, 4: nn.ZeroPad2d}
    if not tensors or not isinstance(sides, list | tuple) or mode != "constant" or value:
        return None
    kind = kinds.get(len(sides))
    return None if kind is None else (kind(tuple(sides)), tensors)


FUNCTIONS: dict[object, Callable[[Arguments, Keywords], Made | None]] = {
    operator.add: _sum_of,
    operator.iadd: _sum_of,
    torch.add: _sum_of,
    torch.cat: _cat_of,
    torch.flatten: _flatten_of,
    torch.relu: _layer_of(nn.ReLU),
    F.relu: _layer_of(nn.ReLU),
    F.relu6: _layer_of(nn.ReLU6),
    F.hardtanh: _layer_of(nn.Hardtanh),
    F.max_pool1d: _layer_of(nn.MaxPool1d),
    F.max_pool2d: _layer_of(nn.MaxPool2d),
    F.avg_pool1d: _layer_of(nn.AvgPool1d),
    F.avg_pool2d: _layer_of(nn.AvgPool2d),
    F.adaptive_avg_pool1d: _layer_of(nn.AdaptiveAvgPool1d),
    F.adaptive_avg_pool2d: _layer_of(nn.AdaptiveAvgPool2d),
    F.pad: _zero_pad_of,
    F.dropout: _dropout_of,
}
METHODS: dict[object, Callable[[Arguments, Keywords], Made | None]] = {
    "add": _sum_of,
    "add_": _sum_of,
    "flatten": _flatten_of,
    "relu": _layer_of(nn.ReLU),
    "relu_": _layer_of(nn.ReLU),
}


def supported() -> str:
    """Return the names of all that has a twin."""
    modules = [kind.__name__ for kind in (*MODULES, *PASSING)]
    return ", ".join([*modules, "and their functions, +, torch.add, torch.cat, torch.flatten"])
