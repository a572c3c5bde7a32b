"""ONNX -> IR: linear boxes, and between them chains of element-wise nodes that end in a quantizer.

Walks the nodes in order. A tensor of the model is a `Constant`, or a `Flow`: an IR value and the
float32 steps applied to it since. A quantizer turns a Flow into a new IR value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto, NodeProto

from hwgen.errors import FrontendError, HwgenError
from hwgen.frontend import constants, linear
from hwgen.frontend.constants import MOVES, Constant
from hwgen.frontend.flow import Flow
from hwgen.frontend.names import Namer
from hwgen.frontend.nodes import TRANSLATORS, Site, attributes, spread
from hwgen.frontend.output_grid import exact_output
from hwgen.frontend.quantizer import Quantizer, bipolar_quantizer, integer_quantizer
from hwgen.frontend.reader import QONNX_DOMAIN, describe
from hwgen.frontend.shapes import declared_batch, frame_shape, moved_shape
from hwgen.ir import Graph, Input, Node, Op, Scale, TensorType, verify
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Add, Divide, Multiply, Quantize, Step

QUANTIZERS = frozenset({"Quant", "IntQuant", "BipolarQuant"})
PREPARE_NAMES: dict[type[Step], str] = {Add: "add", Multiply: "multiply", Divide: "divide"}


@dataclass(frozen=True)
class Row:
    """What one node of the model becomes, or why it cannot."""

    node: str
    op_type: str
    becomes: str
    problem: str = ""


@dataclass
class Importer:
    """One walk over a checked model; `graph`, `rows` and `problems` are its results."""

    model: ModelProto
    name: str
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    graph: Graph | None = None

    def __post_init__(self) -> None:
        self._tensors: dict[str, Constant | Flow | None] = {}
        self._inputs: list[Input] = []
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}
        self._scales: dict[str, Scale] = {}
        self._batch = 0
        self._namer = Namer()
        self._graph_name = self._namer.name(self.name, "network", 0)

    def run(self) -> None:
        """Walk the model; afterwards either `graph` or `problems` is there."""
        self._read_initializers()
        self._read_inputs()
        live = _live_nodes(self.model)
        for index, node in enumerate(self.model.graph.node):
            if index in live:
                self._read_node(index, node)
            else:
                self.rows.append(Row(node.name, node.op_type, "nothing: no output needs it"))
        outputs = self._read_outputs()
        if not self.problems:
            self.graph = Graph(self._graph_name, tuple(self._inputs), tuple(self._nodes), outputs)
            verify(self.graph)

    # tensors that are there from the start --------------------------------------------------

    def _read_initializers(self) -> None:
        for tensor in self.model.graph.initializer:
            try:
                self._tensors[tensor.name] = constants.from_tensor(tensor, tensor.name)
            except FrontendError as error:
                self._refuse(str(error), tensor.name)

    def _read_inputs(self) -> None:
        free = [v for v in self.model.graph.input if v.name not in self._tensors]
        if len(free) != 1:
            names = [v.name for v in free]
            self.problems.append(f"expected one input, got {len(free)}: {names}")
        for value in free:
            try:
                self._tensors[value.name] = Flow(None, frame_shape(value), source=value.name)
                self._batch = declared_batch(value)
            except FrontendError as error:
                self._refuse(f"input {value.name!r}: {error}", value.name)

    def _refuse(self, problem: str, *names: str) -> None:
        """Note a problem; tensors `names` are unknown from here on, without further messages."""
        self.problems.append(problem)
        self._tensors.update(dict.fromkeys(names))

    # nodes ----------------------------------------------------------------------------------

    def _read_node(self, index: int, node: NodeProto) -> None:
        where = describe(node.name, node.op_type)
        outputs = [name for name in node.output if name]
        try:
            if not _supported(node):
                raise FrontendError(
                    f"expected a supported operator, got {node.op_type!r} of domain "
                    f"{node.domain!r}; try replacing it ({', '.join(sorted(TRANSLATORS)[:4])}, "
                    "... are listed by `hwgen ops`)"
                )
            inputs = [self._tensors.get(name) if name else None for name in node.input]
            if any(n and self._tensors.get(n) is None for n in node.input):
                self._tensors.update(dict.fromkeys(outputs))
                self._row(node, "unknown: it follows a node with a problem")
                return
            result, becomes = self._translate(index, node, inputs)
        except HwgenError as error:
            self._refuse(f"{where}: {error}", *outputs)
            self._row(node, "", str(error))
            return
        self._tensors[node.output[0]] = result
        self._row(node, becomes)

    def _row(self, node: NodeProto, becomes: str, problem: str = "") -> None:
        self.rows.append(Row(node.name, node.op_type, becomes, problem))

    def _translate(
        self, index: int, node: NodeProto, inputs: Sequence[Constant | Flow | None]
    ) -> tuple[Constant | Flow, str]:
        flows = [i for i, given in enumerate(inputs) if isinstance(given, Flow)]
        known = [given if isinstance(given, Constant) else None for given in inputs]
        if not flows:
            if node.op_type in QUANTIZERS:
                return self._quantize_constant(node, known), "constant, quantized"
            return constants.fold(node, known, self.model), "constant"
        flow = inputs[flows[0]]
        if len(flows) > 1 or not isinstance(flow, Flow):
            raise FrontendError(
                f"expected one input that depends on the model's input, got {len(flows)}; "
                "networks that branch are not supported"
            )
        site = Site(node, flow.shape, flows[0], known)
        if node.op_type == "Shape":
            return Constant(np.array(flow.shape, dtype=np.int64), node.output[0]), "constant"
        if node.op_type in linear.TRANSLATORS:
            return self._linear(index, site, flow)
        if node.op_type in QUANTIZERS:
            return self._quantize(index, site, flow)
        if node.op_type in MOVES and node.op_type != "Identity":
            shape = moved_shape(node, flow.shape, known, self.model, self._batch)
            return replace(flow, shape=shape), "nothing: the order of elements stays"
        if node.op_type not in TRANSLATORS:
            raise FrontendError(
                "expected constant inputs, got one that depends on the model's input; "
                "try removing the node"
            )
        steps = TRANSLATORS[node.op_type](site)
        return flow.then(steps, node.name), "float32 steps of the finite function that follows"

    def _linear(self, index: int, site: Site, flow: Flow) -> tuple[Flow, str]:
        if flow.value is None or flow.steps or not flow.quantized:
            raise FrontendError(
                f"unquantized activation: expected an input that ends in a Quant or BipolarQuant, "
                f"got {flow.ending()}; try a quantizer after it"
            )
        scale = self._scales[flow.value]
        if len(scale) > 1:
            raise FrontendError(
                f"expected one input scale, got {len(scale)} of {flow.value!r}; "
                "quantize activations per tensor"
            )
        box = linear.TRANSLATORS[site.node.op_type](site)
        name = self._emit(
            index,
            site.node,
            box.op,
            flow,
            tuple(scale[0] * float(s) for s in box.weight_scale),
            (site.node.name,),
        )
        result = Flow(name, (*flow.shape[:-1], box.rows), source=site.node.name)
        return result.then(box.steps, site.node.name), f"{box.op.name} {name}"

    # quantizers -----------------------------------------------------------------------------

    def _quantizer(self, node: NodeProto, known: Sequence[Constant | None]) -> Quantizer:
        given = [None if c is None else c.reals() for c in known[1:]]
        if node.op_type == "BipolarQuant":
            if len(given) != 1 or given[0] is None:
                raise FrontendError("expected a constant scale, got none")
            return bipolar_quantizer(given[0])
        if len(given) != 3:
            raise FrontendError(f"expected scale, zero_point, bit_width, got {len(given)} inputs")
        scale, zero_point, bit_width = given
        if scale is None or zero_point is None or bit_width is None:
            raise FrontendError("expected constant scale, zero_point and bit_width")
        return integer_quantizer(scale, zero_point, bit_width, attributes(node))

    def _quantize_constant(self, node: NodeProto, known: Sequence[Constant | None]) -> Constant:
        if not known or known[0] is None:
            raise FrontendError("expected a tensor to quantize, got none")
        return constants.quantize(known[0], self._quantizer(node, known), node.output[0])

    def _quantize(self, index: int, site: Site, flow: Flow) -> tuple[Flow, str]:
        if site.flow_at != 0:
            raise FrontendError("expected constant quantizer parameters, got computed ones")
        quantizer = self._quantizer(site.node, site.inputs)
        scale = spread(quantizer.scale, flow.shape, "scale")
        if flow.value is None:
            return self._quantize_input(index, site, flow, quantizer, float(scale[0]), scale.size)
        step = Quantize(scale, quantizer.zero_point, quantizer.codes, quantizer.rounding)
        op = Elementwise(np.array(self._scales[flow.value]), flow.steps, step)
        sources = (*flow.pending, site.node.name)
        name = self._emit(index, site.node, op, flow, tuple(map(float, scale)), sources)
        return Flow(name, flow.shape, quantized=True, source=site.node.name), (
            f"finite function {name}"
        )

    def _quantize_input(
        self, index: int, site: Site, flow: Flow, quantizer: Quantizer, scale: float, scales: int
    ) -> tuple[Flow, str]:
        if self._inputs:
            raise FrontendError("expected one quantizer on the model's input, got a second one")
        if scales > 1:
            raise FrontendError(f"expected one scale for the input, got {scales}")
        prepare = []
        for step in flow.steps:
            if not isinstance(step, Add | Multiply | Divide) or step.constant.size > 1:
                raise FrontendError(
                    "expected only Add, Sub, Mul and Div by one number before the input's "
                    f"quantizer, got {flow.ending()}; try moving it before the model"
                )
            prepare.append((PREPARE_NAMES[type(step)], float(step.constant[0])))
        name = self._namer.name(flow.source, "frames", index)
        kind = TensorType((math.prod(flow.shape),), quantizer.codes)
        source = Input(
            name=name,
            type=kind,
            scale=scale,
            rounding=quantizer.rounding,
            zero_point=quantizer.zero_point,
            prepare=tuple(prepare),
            source=flow.source,
        )
        self._inputs.append(source)
        self._types[name], self._scales[name] = kind, (scale,)
        return Flow(name, flow.shape, quantized=True, source=site.node.name), f"input {name}"

    def _emit(
        self, index: int, node: NodeProto, op: Op, flow: Flow, scale: Scale, sources: Sequence[str]
    ) -> str:
        """Append an IR node and return its name."""
        assert flow.value is not None
        kind = op.infer(self._types[flow.value])
        name = self._namer.name(node.name, node.op_type, index)
        shared = scale[:1] if len(set(scale)) == 1 else scale
        source = " ".join(filter(None, sources))
        self._nodes.append(Node(name, op, (flow.value,), shared, source))
        self._types[name], self._scales[name] = kind, shared
        return name

    # outputs --------------------------------------------------------------------------------

    def _read_outputs(self) -> tuple[str, ...]:
        outputs = self.model.graph.output
        if len(outputs) != 1:
            names = [v.name for v in outputs]
            self.problems.append(f"expected one output, got {len(outputs)}: {names}; keep one")
            return ()
        flow = self._tensors.get(outputs[0].name)
        if isinstance(flow, Flow) and flow.value is not None:
            try:
                return (self._finish(flow, outputs[0].name),)
            except HwgenError as error:
                self.problems.append(f"output {outputs[0].name!r}: {error}")
        elif flow is not None or not self.problems:
            self.problems.append(
                f"output {outputs[0].name!r}: expected it to be computed from the quantized input; "
                "try a Quant node after the input"
            )
        return ()

    def _finish(self, flow: Flow, name: str) -> str:
        """Give the output its codes when the model does not end in a quantizer."""
        assert flow.value is not None
        if not flow.steps:
            return flow.value
        value = flow.value
        op, scale = exact_output(self._types[value], self._scales[value], flow.steps)
        if op is not None:
            node = NodeProto(name=flow.pending[-1] or name, op_type="output")
            return self._emit(len(self.model.graph.node), node, op, flow, scale, flow.pending)
        self._nodes = [replace(n, scale=scale) if n.name == value else n for n in self._nodes]
        return value


def import_model(model: ModelProto, name: str) -> Importer:
    """Walk a checked model; `graph`, `rows` and `problems` of the result say what came of it."""
    importer = Importer(model, name)
    importer.run()
    return importer


def _supported(node: NodeProto) -> bool:
    if node.domain == QONNX_DOMAIN:
        return node.op_type in QUANTIZERS
    kinds = TRANSLATORS.keys() | linear.TRANSLATORS.keys() | constants.FOLDABLE
    return node.domain in ("", "ai.onnx") and node.op_type in kinds


def _live_nodes(model: ModelProto) -> set[int]:
    """Return the indices of the nodes that the outputs need."""
    wanted = {value.name for value in model.graph.output}
    live = set()
    for index in reversed(range(len(model.graph.node))):
        node = model.graph.node[index]
        if wanted & set(node.output):
            live.add(index)
            wanted |= set(filter(None, node.input))
    return live
