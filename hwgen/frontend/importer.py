"""ONNX -> IR: linear boxes, and between them chains of element-wise nodes that end in a quantizer.

Walks the nodes in order. A tensor of the model is a `Constant`, or a `Flow`: an IR value and the
float32 steps applied to it since. A quantizer turns a Flow into a new IR value. Several nodes may
read one flow: each makes of it what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto, NodeProto

from hwgen.errors import FrontendError, HwgenError
from hwgen.frontend import constants
from hwgen.frontend.boxes import (
    BOXES,
    JOINS,
    ONE_FLOW,
    QONNX_BOXES,
    Box,
)
from hwgen.frontend.constants import MOVES, Constant
from hwgen.frontend.entry import expected_entry, same_entry, wanted_entry
from hwgen.frontend.final_softmax import FINAL
from hwgen.frontend.flow import Flow
from hwgen.frontend.integers import Tensor, as_numbers, dequantize_constant, tensor_of
from hwgen.frontend.layout import moved_order
from hwgen.frontend.minifloat import float_quantized
from hwgen.frontend.network import Network
from hwgen.frontend.nodes import TRANSLATORS
from hwgen.frontend.output_grid import MAX_CODE_BITS
from hwgen.frontend.quantize import (
    QONNX_QUANTIZERS,
    QUANTIZERS,
    InputOrder,
    enter_integers,
    quantize,
    quantize_constant,
)
from hwgen.frontend.readable import expect_readable
from hwgen.frontend.reader import QONNX_DOMAIN, describe
from hwgen.frontend.rejoin import expect_one_value, without_unread
from hwgen.frontend.settle import settled
from hwgen.frontend.shapes import declared_batch, frame_shape, integer_input
from hwgen.frontend.site import Site
from hwgen.ir import Codes, Graph, layout_of, verify
from hwgen.numeric import CodeType
from hwgen.ops.elementwise import Elementwise

FUNCTION = "float32 steps of the finite function that follows"
ADVICE = {
    "DynamicQuantizeLinear": "hardware has fixed scales: quantize statically, from sample data",
}


@dataclass(frozen=True)
class Row:
    """What one node of the model becomes, or why it cannot."""

    node: str
    op_type: str
    becomes: str
    problem: str = ""


@dataclass
class Importer:
    """One walk over a checked model; `graph`, `rows` and `problems` are its results.

    Parameters
    ----------
    entry : how frames stream; None where the walk has to find out. When it finds that they must
        stream in another way than it thought, it stops and leaves that in `other_entry`.
    """

    model: ModelProto
    name: str
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    graph: Graph | None = None
    entry: InputOrder | None = None

    def __post_init__(self) -> None:
        self._tensors: dict[str, Constant | Flow | None] = {}
        self._network = Network()
        self._batch = 0
        self._streams_like_input: set[str] = set()
        # The first image made of the input decides how frames stream; see `_look_at_input`.
        self._decided = self.entry is not None
        self.other_entry: InputOrder | None = None
        self._graph_name = self._network.namer.name(self.name, "network", 0)

    def run(self) -> None:
        """Walk the model; afterwards either `graph` or `problems` is there."""
        self._read_initializers()
        self._read_inputs()
        live = _live_nodes(self.model)
        for index, node in enumerate(self.model.graph.node):
            if self.other_entry is not None:
                return
            if index in live:
                self._read_node(index, node)
            else:
                why = "it keeps the order, the host may do it"
                words = why if node.op_type in FINAL else "no output needs it"
                self.rows.append(Row(node.name, node.op_type, f"nothing: {words}"))
        self._read_outputs()

    def quantized_tensors(self) -> dict[str, Tensor]:
        """Return how values of the graph hold tensors of the model, in order."""
        flows = {n: f for n, f in self._tensors.items() if isinstance(f, Flow)}
        found = {name: tensor_of(self._network, flow) for name, flow in flows.items()}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

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
                shape = frame_shape(value)
                places = np.arange(math.prod(shape)).reshape(shape)
                self._tensors[value.name] = Flow(None, places, source=value.name)
                self._batch = declared_batch(value)
                self.entry = self.entry or expected_entry(places, self.model)
                codes = integer_input(value)
                if codes is not None and len(free) == 1:
                    self._tensors[value.name] = self._integers(
                        places, codes, self.entry, value.name
                    )
            except FrontendError as error:
                self._refuse(f"input {value.name!r}: {error}", value.name)

    def _integers(self, places: Codes, codes: CodeType, entry: InputOrder, name: str) -> Flow:
        """Let the model's integers enter as they are."""
        flow = enter_integers(self._network, places, codes, entry, name)
        assert flow.value is not None
        self._streams_like_input.add(flow.value)
        return flow

    def _look_at_input(self, site: Site) -> None:
        """Let the first image that is made of the input alone decide how frames stream."""
        if self._decided or site.flow.value not in self._streams_like_input or self.entry is None:
            return
        wanted = wanted_entry(site, self.entry)
        if wanted is not None:
            self._decided = True
            self.other_entry = None if same_entry(wanted, self.entry) else wanted

    def _refuse(self, problem: str, *names: str) -> None:
        """Note a problem; tensors `names` are unknown from here on, without further messages."""
        self.problems.append(problem)
        self._tensors.update(dict.fromkeys(names))

    # nodes ----------------------------------------------------------------------------------

    def _read_node(self, index: int, node: NodeProto) -> None:
        where = describe(node.name, node.op_type)
        outputs = [name for name in node.output if name]
        before = len(self._network.nodes)
        try:
            if not _supported(node):
                listed = ", ".join(sorted(TRANSLATORS)[:4])
                advice = f"try replacing it ({listed}, ... are listed by `hwgen ops`)"
                raise FrontendError(
                    f"expected a supported operator, got {node.op_type!r} of domain "
                    f"{node.domain!r}; {ADVICE.get(node.op_type, advice)}"
                )
            inputs = [self._tensors.get(name) if name else None for name in node.input]
            if any(n and self._tensors.get(n) is None for n in node.input):
                self._tensors.update(dict.fromkeys(outputs))
                self._row(node, "unknown: it follows a node with a problem")
                return
            results, becomes = self._translate(index, node, inputs)
        except HwgenError as error:
            self._refuse(f"{where}: {error}", *outputs)
            self._row(node, "", str(error))
            return
        for name, result in zip(node.output, results, strict=False):
            self._tensors[name] = result
        self._row(node, ", ".join([*self._emitted(before), *([becomes] if becomes else [])]))

    def _row(self, node: NodeProto, becomes: str, problem: str = "") -> None:
        self.rows.append(Row(node.name, node.op_type, becomes, problem))

    def _emitted(self, before: int) -> list[str]:
        """Return words for the operators made since there were `before` of them."""
        return [
            f"{'finite function' if isinstance(n.op, Elementwise) else n.op.name} {n.name}"
            for n in self._network.nodes[before:]
        ]

    def _translate(
        self, index: int, node: NodeProto, inputs: Sequence[Constant | Flow | None]
    ) -> tuple[Sequence[Constant | Flow | None], str]:
        """Return what the node gives, and words for what it is besides operators."""
        known = [given if isinstance(given, Constant) else None for given in inputs]
        at = [i for i, given in enumerate(inputs) if isinstance(given, Flow)]
        if not at:
            return self._computed(node, known)
        flows = tuple(given for given in inputs if isinstance(given, Flow))
        site = Site(
            self.model, index, node, known, flows, at[0], self._channels(flows[0]), self._batch
        )
        if node.op_type == "Shape":
            return [Constant(np.array(site.shape, dtype=np.int64), node.output[0])], "constant"
        if node.op_type == "FloatQuant":
            raise FrontendError(
                "expected constant weights, got an activation; quantize activations to integers"
            )
        expect_readable(node, flows)
        if node.op_type in QUANTIZERS:
            return self._quantize(site)
        if node.op_type in ONE_FLOW and at != [0]:
            raise FrontendError(
                "expected constants as all inputs but the first, got some that depend on the "
                "model's input; export with fixed parameters"
            )
        if node.op_type in MOVES and node.op_type != "Identity":
            order = moved_order(node, site.flow.order, known, self.model, self._batch)
            return [replace(site.flow, order=order)], "nothing: it only says where elements are"
        box = self._box(node, len(flows))
        if box is not None:
            return self._boxed(site, box)
        if len(flows) > 1:
            return [expect_one_value(site, self._network)], FUNCTION
        return self._elementwise(site)

    def _computed(
        self, node: NodeProto, known: Sequence[Constant | None]
    ) -> tuple[Sequence[Constant], str]:
        """Return what a node of constants gives."""
        if node.op_type in QUANTIZERS:
            return [quantize_constant(node, known)], "constant, quantized"
        if node.op_type in ("DequantizeLinear", "FloatQuant"):
            of_constant = float_quantized if node.op_type == "FloatQuant" else dequantize_constant
            return [of_constant(node, known)], "constant, quantized"
        every = range(len(node.output))
        return [constants.fold(node, known, self.model, k) for k in every], "constant"

    def _channels(self, flow: Flow) -> int:
        value = flow.value
        return flow.order.size if value is None else self._network.types[value].channels

    def _box(self, node: NodeProto, flows: int) -> Box | None:
        if node.op_type in BOXES:
            return BOXES[node.op_type][0]
        return JOINS.get(node.op_type) if flows > 1 else None

    def _boxed(self, site: Site, box: Box) -> tuple[Sequence[Flow | None], str]:
        self._look_at_input(site)
        before = len(self._network.nodes)
        result = box(site, self._network)
        results = result if isinstance(result, tuple) else (result,)
        if len(self._network.nodes) > before:
            return results, ""
        moved = results[0] is not None and results[0].pools == site.flow.pools
        return results, "nothing" if moved else "a pool that is built where the quantizer is"

    def _quantize(self, site: Site) -> tuple[Sequence[Flow], str]:
        assert self.entry is not None  # there is a flow, so its input has a shape
        flow = quantize(site, self._network, self.entry)
        if site.flow.value is None or site.flow.value in self._streams_like_input:
            assert flow.value is not None
            self._streams_like_input.add(flow.value)
        words = f"input {flow.value}" if site.flow.value is None else ""
        return [flow], words or self._network.notes.get(flow.value or "", "")

    def _elementwise(self, site: Site) -> tuple[Sequence[Flow], str]:
        if site.node.op_type not in TRANSLATORS:
            raise FrontendError(
                "expected constant inputs, got one that depends on the model's input; "
                "try removing the node"
            )
        steps = TRANSLATORS[site.node.op_type](site)
        given = site.flow
        if given.zero_point is not None:  # a Cast
            given = as_numbers(site, self._network, given)
        flow = given if given.value is None else self._network.fitted(site, given, steps)
        return [flow.then(steps, site.node.name)], FUNCTION

    # outputs --------------------------------------------------------------------------------

    def _read_outputs(self) -> None:
        """Finish the graph, when nothing is in the way."""
        outputs = self.model.graph.output
        if len(outputs) != 1:
            names = [v.name for v in outputs]
            self.problems.append(f"expected one output, got {len(outputs)}: {names}; keep one")
            return
        flow = self._tensors.get(outputs[0].name)
        if isinstance(flow, Flow) and flow.value is not None:
            try:
                self._finish(flow, outputs[0].name)
            except HwgenError as error:
                self.problems.append(f"output {outputs[0].name!r}: {error}")
        elif flow is not None or not self.problems:
            self.problems.append(
                f"output {outputs[0].name!r}: expected it to be computed from the quantized input; "
                "try a Quant node after the input"
            )

    def _finish(self, flow: Flow, name: str) -> None:
        """Give the output its codes when the model does not end in a quantizer."""
        last = (flow.pending or (name,))[-1]
        node = NodeProto(name=last or name, op_type="output")
        index = len(self.model.graph.node)
        site = Site(self.model, index, node, (), (flow,), 0, self._channels(flow), self._batch)
        expect_readable(node, (flow,))
        if flow.zero_point is not None:
            flow = as_numbers(site, self._network, flow)
        advice = "end the model with a Quant node"
        value = settled(site, self._network, flow, MAX_CODE_BITS, advice, part="")
        layout = layout_of(flow.order[0], self._network.types[value].shape)
        if self.problems:
            return
        self._drop_unread(value)
        notes = self._network.notes
        nodes = tuple(replace(node, why=notes.get(node.name, "")) for node in self._network.nodes)
        inputs = tuple(self._network.inputs)
        self.graph = Graph(self._graph_name, inputs, nodes, (value,), layout)
        verify(self.graph)

    def _drop_unread(self, output: str) -> None:
        """Leave out functions that became parts of others, and say so in their rows."""
        for name in without_unread(self._network, output):
            words = f"finite function {name}"
            self.rows = [replace(r, becomes=r.becomes.replace(words, FUNCTION)) for r in self.rows]


def import_model(model: ModelProto, name: str) -> Importer:
    """Walk a checked model; `graph`, `rows` and `problems` of the result say what came of it."""
    importer = Importer(model, name)
    importer.run()
    if importer.other_entry is not None:
        importer = Importer(model, name, entry=importer.other_entry)
        importer.run()
    return importer


def _supported(node: NodeProto) -> bool:
    if node.domain == QONNX_DOMAIN:
        return node.op_type in QONNX_QUANTIZERS | QONNX_BOXES | {"FloatQuant"}
    kinds = TRANSLATORS.keys() | BOXES.keys() | constants.FOLDABLE | {"QuantizeLinear"}
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
