"""MLPerf Tiny's image classifier in fixed point: ResNet-8 on CIFAR-10, six bits.

    python examples/cifar10_resnet8.py --data FOLDER                # from scratch, hours on a CPU
    python examples/cifar10_resnet8.py --data FOLDER --start resnet8_int8.onnx   # an hour
    hwgen build build/cifar10_resnet8.onnx --board ultra96          # the next step

FOLDER holds the files of CIFAR-10 (see `public_data.py`). Every number in the network is fixed
point: weights and activations have 6 bits, what meets in a shortcut, the pooled features and the
biases have 8; pixels are the 8 bits they always were. No multiplication but those with weights is
left: each rescaling is a shift, because all binary points are powers of two.

The way there, which is also how this file reads: a float network, from MLPerf's own weights or
trained here; BatchNorm folded into the convolutions; the quantized twin, calibrated on some
images; some epochs of fine tuning, in which the float network teaches its twin; export of the last
one, whatever the epochs before it scored.

Source: Banbury et al., MLPerf Tiny, arXiv 2106.07597; He et al., arXiv 1512.03385;
Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 1503.02531.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from public_data import DataError, load_cifar10
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from training import Plan, accuracy, command_line, fit, integer_accuracy, start, tensors

import hwgen.nn as hnn

# 1. Data. A pixel is an integer 0..255; the network sees it as a fraction, eight bits behind the
# binary point.


def pixels(images: Tensor) -> Tensor:
    """Return uint8 images as fractions 0 .. 255/256; exact."""
    return (images.float() / 256).contiguous(memory_format=torch.channels_last)


def augmented(images: Tensor, shift: int = 4) -> Tensor:
    """Return `pixels` of images mirrored half of the time and moved by up to `shift` pixels."""
    count, channels, height, width = images.shape
    padded = nn.functional.pad(images.float(), (shift,) * 4, mode="reflect")
    rows = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(height)
    columns = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(width)
    mirrored = torch.rand(count, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    picked = padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(channels)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
    return pixels(picked)


# 2. The float network: a convolution, three residual blocks, the average, a linear layer.


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where shapes change.

    Parameters
    ----------
    inputs, outputs, stride : channels, and the step of the first convolution and the shortcut
    tensorflow : pad a convolution of stride 2 like TensorFlow's "same", none before and one after,
        which samples one pixel later than PyTorch's one on both sides
    """

    def __init__(self, inputs: int, outputs: int, stride: int, tensorflow: bool) -> None:
        super().__init__()
        late = tensorflow and stride == 2
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if late else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=0 if late else 1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride != 1 else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's activations."""
        inner = self.relu1(self.bn1(self.conv1(self.pad(x))))
        return self.relu2(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet8(nn.Module):
    """MLPerf Tiny's network: 12.5 million products, 77,700 parameters."""

    def __init__(self, tensorflow: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.block1 = Block(16, 16, 1, tensorflow)
        self.block2 = Block(16, 32, 2, tensorflow)
        self.block3 = Block(32, 64, 2, tensorflow)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, 10) of images (N, 3, 32, 32)."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(self.flatten(self.pool(x)))


def fold_batchnorm(model: ResNet8) -> ResNet8:
    """Return a copy in eval mode whose convolutions do what BatchNorm did."""
    model = copy.deepcopy(model).eval()
    pairs = [(model, "conv", "bn")]
    for block in (model.block1, model.block2, model.block3):
        pairs += [(block, "conv1", "bn1"), (block, "conv2", "bn2")]
    for owner, first, second in pairs:
        conv, bn = getattr(owner, first), getattr(owner, second)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        setattr(owner, second, nn.Identity())
    return model


def load_mlperf(path: Path) -> ResNet8:
    """Return the float network behind MLPerf Tiny's int8 model, as ONNX in QDQ form.

    That is `pretrainedResnet_quant.tflite` of github.com/mlcommons/tiny, converted by
    `python -m tf2onnx.convert --opset 13 --tflite FILE --output resnet8_int8.onnx`. A weight is
    scale * (code - zero point); BatchNorm is folded in them already.
    """
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            codes, scale, zero = (stored[name].astype(np.float64) for name in node.input)
            shape = [-1] + [1] * (codes.ndim - 1) if scale.ndim else []
            values[node.output[0]] = (codes - zero.reshape(shape)) * scale.reshape(shape)
    layers = [
        [values[name] for name in node.input if name in values]
        for node in graph.node
        if node.op_type in ("Conv", "MatMul", "Add") and any(n in values for n in node.input)
    ]
    *convolutions, (dense,), (dense_bias,) = layers
    model = fold_batchnorm(ResNet8(tensorflow=True))
    with torch.no_grad():
        for place in (layer for layer in model.modules() if isinstance(layer, nn.Conv2d)):
            # The file has them in the order of computation, but for branches: by shape then.
            fits = [pair[0].shape == place.weight.shape for pair in convolutions]
            if True not in fits:
                raise DataError(f"{path}: expected MLPerf Tiny's ResNet-8, got other layers")
            weight, bias = convolutions.pop(fits.index(True))
            place.weight.copy_(torch.from_numpy(weight))
            place.bias.copy_(torch.from_numpy(bias))
        model.conv.weight.mul_(256)  # it expects pixels 0..255
        model.dense.weight.copy_(torch.from_numpy(dense.T))
        model.dense.bias.copy_(torch.from_numpy(dense_bias))
    return model


# 3. The quantized twin.

WEIGHT = hnn.FixedPointConfig(bit_width=6)
BIAS = hnn.FixedPointConfig(bit_width=8, max_frac=12)
ACTIVATION = hnn.LayerConfig(
    weight=WEIGHT, bias=BIAS, output=hnn.FixedPointConfig(bit_width=6, signed=False)
)
# What is added to a shortcut, and the average of 64 activations, keep eight bits.
SUMMAND = hnn.LayerConfig(weight=WEIGHT, bias=BIAS, output=hnn.FixedPointConfig(bit_width=8))
AVERAGE = hnn.LayerConfig(output=hnn.FixedPointConfig(bit_width=8, signed=False))
PIXEL = hnn.FixedPointConfig(bit_width=8, signed=False, frac=8)


def quantized_twin(model: ResNet8, images: Tensor) -> nn.Module:
    """Return the twin of a folded float network, its binary points found on `images`."""
    patterns = {"*.conv2": SUMMAND, "*.shortcut": SUMMAND, "pool": AVERAGE}
    twin = hnn.prepare(model, ACTIVATION, patterns, input=PIXEL)
    batches = [pixels(batch) for batch in images.split(100)]
    hnn.calibrate(twin, batches, hnn.CalibrationMethod.MSE)
    return twin.to(memory_format=torch.channels_last)


def distillation(teacher: nn.Module, temperature: float = 4.0, share: float = 0.7):
    """Return a loss: match the teacher's softened answers, and the labels."""

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = torch.log_softmax(teacher(inputs) / temperature, dim=1)
        scores = model(inputs)
        softened = torch.log_softmax(scores / temperature, dim=1)
        soft = nn.functional.kl_div(softened, wanted, reduction="batchmean", log_target=True)
        hard = nn.functional.cross_entropy(scores, labels)
        return share * temperature**2 * soft + (1 - share) * hard

    return loss


# 4. Train and export.


def trained_float(images: Tensor, labels: Tensor, epochs: int, **options: object) -> ResNet8:
    """Return the float network trained from scratch, BatchNorm folded."""
    network = ResNet8().to(memory_format=torch.channels_last)
    plan = Plan(epochs, 128, learning_rate=2e-3, weight_decay=1e-2)
    fit(network, images, labels, plan, title="float", convert=augmented, **options)
    return fold_batchnorm(network)


def main() -> None:
    """Train, export, measure."""
    parser = command_line("Train a fixed-point ResNet-8.", epochs=20, data="CIFAR-10")
    parser.add_argument("--start", type=Path, help="MLPerf Tiny's int8 model, as ONNX in QDQ form")
    parser.add_argument("--float-epochs", type=int, default=60, help="without --start")
    options = start(parser)
    images, labels, test, test_labels = tensors(load_cifar10(options.data), options.samples)
    # Epochs are watched on images of the training set that are not trained on here, so that the
    # test images are looked at once, at the end. MLPerf's own network has seen those, though.
    held_out = len(images) // 25
    images, unseen = images[:-held_out], images[-held_out:]
    labels, unseen_labels = labels[:-held_out], labels[-held_out:]

    def validate(model: nn.Module) -> float:
        return accuracy(model, unseen, unseen_labels, pixels)

    if options.start:
        teacher = load_mlperf(options.start)
    else:
        checkpoint = options.out / "cifar10_resnet8_float.pt"
        teacher = trained_float(
            images, labels, options.float_epochs, checkpoint=checkpoint, validate=validate
        )
    teacher = teacher.to(memory_format=torch.channels_last)
    print(f"float network: {validate(teacher):.2%} of {held_out} held-out images")

    twin = quantized_twin(teacher, images[:1000])
    print(f"quantized, calibrated, not trained: {validate(twin.eval()):.2%}")
    fit(
        twin,
        images,
        labels,
        Plan(options.epochs, 128, learning_rate=1e-3),
        title="six bits",
        checkpoint=options.out / "cifar10_resnet8.pt",
        convert=augmented,
        loss=distillation(teacher),
        validate=validate,
    )
    path = options.out / "cifar10_resnet8.onnx"
    hnn.export(twin, pixels(test[:1]), path, compact=True)
    print(hnn.summary(twin))
    share = integer_accuracy(path, pixels(test).numpy(), test_labels.numpy())
    print(f"{path}: the integer model is right on {share:.2%} of {len(test)} test images")


if __name__ == "__main__":
    main()
