"""Random networks that branch: every kind of layer, in any order that has a meaning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.frontend.models import Builder


@dataclass(frozen=True)
class Tensor:
    """A tensor of the network: its name, shape (C, H, W), and whether it is quantized."""

    name: str
    shape: tuple[int, int, int]
    quantized: bool = False


class RandomNetwork:
    """Grows layer by layer; every tensor so far may be read again."""

    def __init__(self, rng: np.random.Generator, image: tuple[int, int, int]) -> None:
        self.rng, self.b = rng, Builder(("N", *image))
        bits = rng.integers(4) == 0
        first = self.b.bipolar("x", 0.5) if bits else self.b.quant("x", 0.25, 3)
        self.tensors = [Tensor(first, image, True)]

    def grow(self, layers: int) -> None:
        for _ in range(layers):
            kinds = [self.convolve, self.activate, self.pool, self.join, self.resize]
            kinds[int(self.rng.choice(5, p=[0.35, 0.15, 0.2, 0.2, 0.1]))]()

    def model(self):
        last = self.quantized(self.tensors[-1])
        if self.rng.integers(2):
            return self.b.model(last.name)
        size = int(np.prod(last.shape))
        flat = self.b.node("Flatten", last.name)
        weights = self.b.weights(self.rng.integers(-7, 8, (size, 3)))
        return self.b.model(self.b.node("MatMul", flat, weights))

    def pick(self) -> Tensor:
        recent = self.tensors[-3:]
        return recent[int(self.rng.integers(len(recent)))]

    def add(self, name: str, shape: tuple[int, int, int], quantized: bool = False) -> Tensor:
        self.tensors.append(Tensor(name, shape, quantized))
        return self.tensors[-1]

    def quantized(self, x: Tensor) -> Tensor:
        if x.quantized:
            return x
        rng = self.rng
        if rng.integers(5) == 0:
            return self.add(self.b.bipolar(x.name, 2.0 ** rng.integers(-2, 1)), x.shape, True)
        bits, signed = int(rng.integers(2, 6)), int(rng.integers(2))
        name = self.b.quant(x.name, 2.0 ** rng.integers(-2, 2), bits, signed)
        return self.add(name, x.shape, True)

    def convolve(self) -> None:
        rng, x = self.rng, self.quantized(self.pick())
        channels, *size = x.shape
        groups = int(rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0]))
        outputs = groups * int(rng.integers(1, 3))
        kernel = [int(rng.integers(1, min(3, s) + 1)) for s in size]
        pads = [int(rng.integers(k)) for _ in (0, 1) for k in kernel]
        strides = [int(rng.integers(1, 3)) for _ in size]
        codes = rng.integers(-3, 4, (outputs, channels // groups, *kernel))
        scale = 2.0 ** rng.integers(-2, 1, (outputs, 1, 1, 1)) if rng.integers(2) else 0.5
        weights = self.b.weights(codes, scale, 4)
        name = self.b.node("Conv", x.name, weights, pads=pads, strides=strides, group=groups)
        rows, columns = (
            (size[k] + pads[k] + pads[k + 2] - kernel[k]) // strides[k] + 1 for k in (0, 1)
        )
        self.add(name, (outputs, rows, columns))

    def activate(self) -> None:
        x, rng = self.pick(), self.rng
        steps = rng.permutation(["Relu", "Mul", "Add"])[: int(rng.integers(1, 4))]
        name = x.name
        for kind in steps:
            constant = rng.integers(-3, 4, (x.shape[0], 1, 1)) / 4
            inputs = [] if kind == "Relu" else [self.b.constant(constant)]
            name = self.b.node(str(kind), name, *inputs)
        self.add(name, x.shape)

    def pool(self) -> None:
        rng, x = self.rng, self.pick()
        kernel = [int(rng.integers(1, min(3, s) + 1)) for s in x.shape[1:]]
        strides = [int(rng.integers(1, 3)) for _ in kernel]
        rows, columns = ((x.shape[k + 1] - kernel[k]) // strides[k] + 1 for k in (0, 1))
        average = rng.integers(2) == 0
        x = self.quantized(x) if average else x
        kind = "AveragePool" if average else "MaxPool"
        name = self.b.node(kind, x.name, kernel_shape=kernel, strides=strides)
        if average:  # thirds have no exact grid: a quantizer, off its ties
            name = self.b.node("Add", name, self.b.constant(1 / 128))
            self.quantized(Tensor(name, (x.shape[0], rows, columns)))
        else:
            self.add(name, (x.shape[0], rows, columns), x.quantized)

    def join(self) -> None:
        rng, x = self.rng, self.quantized(self.pick())
        others = [t for t in self.tensors if t.shape[1:] == x.shape[1:]]
        other = self.quantized(others[int(rng.integers(len(others)))])
        kind = str(rng.choice(["Add", "Sub", "Concat"]))
        if kind == "Concat" or other.shape != x.shape:
            name = self.b.node("Concat", x.name, other.name, axis=1)
            self.add(name, (x.shape[0] + other.shape[0], *x.shape[1:]), True)
        else:
            self.add(self.b.node(kind, x.name, other.name), x.shape)

    def resize(self) -> None:
        x, b = self.pick(), self.b
        channels, rows, columns = x.shape
        if self.rng.integers(2) and rows * columns <= 16:
            scales = b.constant([1, 1, 2, 1])
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            name = b.node("Resize", x.name, "", scales, mode="nearest", **how)
            self.add(name, (channels, 2 * rows, columns), x.quantized)
            return
        axis = int(self.rng.integers(1, 4))
        size = x.shape[axis - 1]
        begin = int(self.rng.integers(size))
        ends = [b.constant([value], dtype=np.int64) for value in (begin, size, axis)]
        shape = [size - begin if k == axis - 1 else s for k, s in enumerate(x.shape)]
        name = b.node("Slice", x.name, *ends)
        self.add(name, (shape[0], shape[1], shape[2]), x.quantized)
