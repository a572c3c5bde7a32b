"""`OnnxWriter`: collects QONNX nodes and writes the file, the same bytes every time.

Used by `export.py`, which knows the layers; this part only knows ONNX.

Source: QONNX operators Quant and BipolarQuant, domain qonnx.custom_op.general, version 1.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import hwgen
from hwgen.errors import ExportError
from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.layers import Quantizer
from hwgen.numeric import Overflow, qonnx_name

QONNX_DOMAIN = "qonnx.custom_op.general"
OPSET = 17  # the newest whose IR version (8) every executor in use accepts
IR_VERSION = 8
BATCH = "N"

Shape = tuple[int, ...]  # without the batch


@dataclass
class OnnxWriter:
    """A graph under construction; tensors are float32 and named after the module that makes them."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    value_infos: list[onnx.ValueInfoProto] = field(default_factory=list)

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """Add an initializer and return its name."""
        array = np.asarray(values, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self,
        op_type: str,
        name: str,
        inputs: list[str],
        shape: Shape,
        *,
        batched: bool = True,
        domain: str = "",
        **attributes: int | str,
    ) -> str:
        """Add a node with one output, named like the node, and return that name."""
        output = f"{name}.out"
        made = helper.make_node(op_type, inputs, [output], name=name, domain=domain, **attributes)
        self.nodes.append(made)
        full = [BATCH, *shape] if batched else list(shape)
        self.value_infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, full))
        return output

    def quantize(
        self, quantizer: Quantizer, name: str, source: str, shape: Shape, *, batched: bool = True
    ) -> str:
        """Add the Quant or BipolarQuant node that computes what `quantizer` does."""
        if isinstance(quantizer, BinaryQuantizer):
            scale = self.constant(f"{name}.scale", 1.0)
            inputs = [source, scale]
            return self.node(
                "BipolarQuant", name, inputs, shape, batched=batched, domain=QONNX_DOMAIN
            )
        config = quantizer.config
        inputs = [
            source,
            self.constant(f"{name}.scale", quantizer.fixed_point.scale),
            self.constant(f"{name}.zero_point", 0.0),
            self.constant(f"{name}.bit_width", float(config.bit_width)),
        ]
        return self.node(
            "Quant",
            name,
            inputs,
            shape,
            batched=batched,
            domain=QONNX_DOMAIN,
            signed=int(config.signed),
            narrow=int(config.signed and config.overflow is Overflow.SAT_SYM),
            rounding_mode=qonnx_name(config.rounding),
        )

    def write(self, path: Path, input_shape: Shape, output: str, output_shape: Shape) -> None:
        """Check the model and put it at `path` in one step: whole or not at all."""
        graph_input = helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, [BATCH, *input_shape]
        )
        # The last node's tensor becomes the output; executors expect it in one list only.
        self.nodes[-1].output[0] = "output"
        graph = helper.make_graph(
            self.nodes,
            "hwgen",
            [graph_input],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [BATCH, *output_shape])],
            initializer=self.initializers,
            value_info=[info for info in self.value_infos if info.name != output],
        )
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                helper.make_opsetid(QONNX_DOMAIN, 1),
            ],
            producer_name="hwgen",
            producer_version=hwgen.__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        _write_atomically(path, model.SerializeToString(deterministic=True))


def _write_atomically(path: Path, content: bytes) -> None:
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes private files; a model is as readable as any other file.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ExportError(
            f"{path}: cannot be written ({error.strerror}); does the folder exist, is it writable?"
        ) from error
