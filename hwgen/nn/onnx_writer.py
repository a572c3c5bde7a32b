"""`OnnxWriter`: collects QONNX nodes and writes the file, the same bytes every time.

Used by `lowering.py`, which knows the layers; this part only knows ONNX.

Source: QONNX operators Quant and BipolarQuant, domain qonnx.custom_op.general, version 1.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import hwgen
from hwgen.errors import ExportError
from hwgen.nn.quantizer import FixedPointQuantizer, Quantizer
from hwgen.numeric import Rounding, qonnx_name

QONNX_DOMAIN = "qonnx.custom_op.general"
OPSET = 17  # with IR version 8: accepted by every executor in use
IR_VERSION = 8
BATCH = "N"
INPUT, OUTPUT = "input", "output"

COMPACT_SIZE = 1024  # numbers from which on a byte each, and two more nodes, are less

Shape = tuple[int, ...]  # without the batch
Attribute = int | str | Sequence[int]


@dataclass
class OnnxWriter:
    """Nodes under construction; tensors are float32, named after what makes them.

    Parameters
    ----------
    compact : store large constants as bytes
    """

    compact: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    value_infos: list[onnx.ValueInfoProto] = field(default_factory=list)

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """Add an initializer and return its name."""
        # Adding zero turns -0.0 into 0.0: equal files for equal numbers.
        array = np.asarray(values, dtype=np.float32) + np.float32(0.0)
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Add an initializer of int64, as shapes are, and return its name."""
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype=np.int64), name))
        return name

    def node(
        self,
        op_type: str,
        name: str,
        inputs: list[str],
        shape: Shape,
        *,
        domain: str = "",
        batched: bool = True,
        window: Mapping[str, Attribute] | None = None,
        **attributes: Attribute,
    ) -> str:
        """Add a node with one output and return the output's name; `window` are attributes too."""
        attributes |= window or {}
        output = f"{name}.out"
        self.nodes.append(
            helper.make_node(op_type, inputs, [output], name=name, domain=domain, **attributes)
        )
        axes = [BATCH, *shape] if batched else list(shape)
        self.value_infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, axes))
        return output

    def quantize(self, quantizer: Quantizer, name: str, source: str, shape: Shape) -> str:
        """Add the node that does to `source` what `quantizer` does."""
        if not isinstance(quantizer, FixedPointQuantizer):
            return self._bipolar_quant(name, source, shape, np.asarray(1.0), batched=True)
        scale = np.asarray(quantizer.fixed_point.scale)
        rounding = quantizer.config.rounding
        return self._quant(quantizer, name, source, shape, scale, rounding, batched=True)

    def quantized_constant(
        self,
        quantizer: Quantizer,
        name: str,
        values: npt.NDArray[np.float64],
        scale: npt.NDArray[np.float64],
    ) -> str:
        """Add values on the quantizer's grid, and the node that says which grid it is.

        `scale` is one number, or broadcasts to `values`.
        """
        source = self._numbers(name, values, scale)
        if quantizer.bipolar:
            return self._bipolar_quant(f"{name}_quant", source, values.shape, scale, batched=False)
        # Numbers on the grid round to themselves in any mode; the usual one is understood anywhere.
        mode = Rounding.RND_CONV
        return self._quant(
            quantizer, f"{name}_quant", source, values.shape, scale, mode, batched=False
        )

    def _numbers(
        self, name: str, values: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
    ) -> str:
        """Add `values`, as codes of a byte, a Cast and a Mul where that is asked for and less."""
        codes = values / scale
        bytes_hold_them = float(np.abs(codes).max(initial=0)) <= np.iinfo(np.int8).max
        if not (self.compact and values.size >= COMPACT_SIZE and bytes_hold_them):
            return self.constant(name, values)
        small = numpy_helper.from_array(codes.astype(np.int8), f"{name}.codes")
        self.initializers.append(small)
        real = self.node(
            "Cast", f"{name}.cast", [small.name], values.shape, batched=False, to=TensorProto.FLOAT
        )
        if (scale == 1).all():
            return real
        step = self.constant(f"{name}.step", scale)
        return self.node("Mul", f"{name}.real", [real, step], values.shape, batched=False)

    def _bipolar_quant(
        self,
        name: str,
        source: str,
        shape: Shape,
        scale: npt.NDArray[np.float64],
        *,
        batched: bool,
    ) -> str:
        inputs = [source, self.constant(f"{name}.scale", scale)]
        return self.node("BipolarQuant", name, inputs, shape, domain=QONNX_DOMAIN, batched=batched)

    def _quant(
        self,
        quantizer: Quantizer,
        name: str,
        source: str,
        shape: Shape,
        scale: npt.NDArray[np.float64],
        rounding: Rounding,
        *,
        batched: bool,
    ) -> str:
        inputs = [
            source,
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero_point", 0.0),
            self.constant(f"{name}.bit_width", float(quantizer.bit_width)),
        ]
        return self.node(
            "Quant",
            name,
            inputs,
            shape,
            domain=QONNX_DOMAIN,
            batched=batched,
            signed=int(quantizer.signed),
            narrow=int(quantizer.narrow),
            rounding_mode=qonnx_name(rounding),
        )

    def model(self, input_shape: Shape, output_shape: Shape, result: str) -> onnx.ModelProto:
        """Return the checked model, whose output is the tensor `result`."""
        for node in self.nodes:
            node.input[:] = [OUTPUT if name == result else name for name in node.input]
            node.output[:] = [OUTPUT if name == result else name for name in node.output]
        graph = helper.make_graph(
            self.nodes,
            "hwgen",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, *input_shape])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, *output_shape])],
            initializer=self.initializers,
            value_info=[info for info in self.value_infos if info.name != result],
        )
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX_DOMAIN, 1)],
            producer_name="hwgen",
            producer_version=hwgen.__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def write_atomically(path: Path, model: onnx.ModelProto) -> None:
    """Put `model` at `path` in one step: a reader finds the old file or the whole new one."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString(deterministic=True))
        # mkstemp makes private files; a model is as readable as any other file.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ExportError(
            f"{path}: cannot be written ({error.strerror}); does the folder exist, is it writable?"
        ) from error
