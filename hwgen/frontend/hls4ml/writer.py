"""`Writer`: collects the nodes of the converted model, and the shapes that hls4ml reads.

hls4ml wants a shape for every tensor, constants included, a constant for each reader, and names
that C++ takes. Used through `place.py`.

Source: hls4ml 1.3, converters/onnx_to_hls.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hwgen.frontend.channels_last import DOMAIN
from hwgen.frontend.hls4ml.numbers import Numbers, Quantizer
from hwgen.frontend.reader import QONNX_DOMAIN

Shape = tuple[int, ...]
BATCH = "N"
OPSET, IR_VERSION = 17, 8  # as `hwgen.nn` writes; accepted by every executor in use


@dataclass
class Writer:
    """A model under construction; shapes have batch 1, the file leaves the batch open."""

    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    infos: list[ValueInfoProto] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: {"input"})  # hls4ml keeps that name

    def name(self, wanted: str) -> str:
        """Return an identifier like `wanted` that is not taken yet."""
        base = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        base = base if base[:1].isalpha() else f"layer_{base}"
        name, count = base, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name

    def is_from(self, op_type: str, name: str) -> bool:
        """Whether a node of this kind computes tensor `name`."""
        return any(node.op_type == op_type and name in node.output for node in self.nodes)

    def constant(self, wanted: str, values: npt.NDArray) -> str:
        """Add an initializer; return its name."""
        name = self.name(wanted)
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
        self.infos.append(helper.make_tensor_value_info(name, kind, values.shape))
        return name

    def real(self, wanted: str, value: float) -> str:
        """Add one real number; return its name."""
        return self.constant(wanted, np.asarray(value, dtype=np.float32))

    def integers(self, wanted: str, values: Sequence[int]) -> str:
        """Add integers; return their name."""
        return self.constant(wanted, np.asarray(values, dtype=np.int64))

    def node(
        self,
        op_type: str,
        wanted: str,
        inputs: Sequence[str],
        shape: Shape,
        *,
        domain: str = "",
        batched: bool = True,
        **attributes: object,
    ) -> str:
        """Add a node; return the name of its output, which hls4ml's streams want to be its own."""
        output = name = self.name(wanted)
        made = helper.make_node(op_type, list(inputs), [output], name=name, domain=domain)
        made.attribute.extend(helper.make_attribute(k, v) for k, v in sorted(attributes.items()))
        self.nodes.append(made)
        axes = [BATCH, *shape[1:]] if batched else list(shape)
        self.infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, axes))
        return output

    def numbers(self, wanted: str, given: Numbers) -> str:
        """Add a constant and its quantizer; return the name of the result."""
        # Adding zero turns -0.0 into 0.0.
        source = self.constant(wanted, given.values + np.float32(0))
        if given.quantizer is None:
            return source
        shape = given.values.shape
        return self.quantize(f"{wanted}_quant", source, shape, given.quantizer, batched=False)

    def quantize(
        self, wanted: str, source: str, shape: Shape, quantizer: Quantizer, *, batched: bool = True
    ) -> str:
        """Add a Quant or BipolarQuant; return the name of the result."""
        inputs = [source, self.real(f"{wanted}_scale", quantizer.scale)]
        if quantizer.bipolar:
            domain = QONNX_DOMAIN
            return self.node("BipolarQuant", wanted, inputs, shape, domain=domain, batched=batched)
        inputs.append(self.real(f"{wanted}_zero_point", 0.0))
        inputs.append(self.real(f"{wanted}_bit_width", float(quantizer.bit_width)))
        return self.node(
            "Quant",
            wanted,
            inputs,
            shape,
            domain=QONNX_DOMAIN,
            batched=batched,
            signed=int(quantizer.signed),
            narrow=int(quantizer.narrow),
            rounding_mode=quantizer.rounding_mode,
        )

    def model(self, given: tuple[str, Shape], result: tuple[str, Shape]) -> ModelProto:
        """Return the model from the tensor `given` to `result`, each with its shape."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape[1:]])
            for name, shape in (given, result)
        ]
        infos = [info for info in self.infos if info.name != result[0]]
        graph = helper.make_graph(
            self.nodes, "hwgen", ends[:1], ends[1:], self.initializers, value_info=infos
        )
        domains = {"": OPSET, QONNX_DOMAIN: 1, DOMAIN: OPSET}
        return helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(*entry) for entry in domains.items()],
            producer_name="hwgen",
        )
