"""`prepare`: a plain torch.nn model becomes its quantized twin, weights and statistics included.

torch.fx follows the model's forward. Every layer is replaced by the one of hwgen.nn with the same
name; additions, concatenations and functional calls become layers; quantizers are put where the
hardware needs integers: on the input, behind activations and pools, and behind a sum unless
BatchNorm or an activation comes next. A BatchNorm goes into the weights before it where the config
of that layer says so. The float model stays as it is.

Next: `calibrate(twin, batches)` for post-training quantization, or training as always.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import fx, nn

from hwgen.errors import ExportError, NumericError
from hwgen.nn.activations import Identity
from hwgen.nn.config import OutputConfig
from hwgen.nn.layers import SIGNED_8, Weighted
from hwgen.nn.trace import trace_graph
from hwgen.nn.twins import FUNCTIONS, METHODS, MODULES, PASSING, LayerConfig, Role, supported

_INPUT = "input_quantizer"


def prepare(
    model: nn.Module,
    config: LayerConfig | None = None,
    patterns: Mapping[str, LayerConfig] | None = None,
    *,
    input: OutputConfig = SIGNED_8,
) -> fx.GraphModule:
    """Return the quantized twin of `model`, to be calibrated or trained.

    Parameters
    ----------
    model : made of torch.nn layers; it is copied, and the copy is where its first weights are
    config : how layers are quantized; 8 bits everywhere when left out
    patterns : other configs by layer name, with the wildcards * and ?; the first that fits counts
    input : what numbers come in

    Raises
    ------
    ExportError
        naming the line that cannot be followed, or every call without a twin
    """
    patterns = patterns or {}
    root, graph = trace_graph(copy.deepcopy(model))
    twin = fx.GraphModule(root, graph, type(model).__name__)
    _functions_to_modules(twin)
    configs = _Configs(config or LayerConfig(), patterns)
    _replace_modules(twin, configs, _take_out_folded(twin, configs))
    _quantize_input(twin, input)
    twin.graph.lint()
    twin.recompile()
    weights = next(model.parameters(), None)
    return twin if weights is None else twin.to(weights.device)


def _functions_to_modules(twin: fx.GraphModule) -> None:
    """Turn calls of functions and methods into layers of torch.nn, or of hwgen.nn for joins."""
    problems = []
    for node in list(twin.graph.nodes):
        if node.op not in ("call_function", "call_method"):
            continue
        table = FUNCTIONS if node.op == "call_function" else METHODS
        make = table.get(node.target)
        made = None if make is None else make(node.args, node.kwargs)
        if made is None:
            what = getattr(node.target, "__name__", node.target)
            problems.append(f"{node.name}: expected a call with a twin, got {what}{node.args[1:]}")
            continue
        layer, inputs = made
        name = node.name
        while hasattr(twin, name):
            name += "_"
        twin.add_submodule(name, layer)
        with twin.graph.inserting_before(node):
            call = twin.graph.call_module(name, tuple(inputs))
        node.replace_all_uses_with(call)
        twin.graph.erase_node(node)
    if problems:
        raise _refusal(problems)


@dataclass
class _Configs:
    """The config of each layer; `used` are the patterns that fitted one."""

    default: LayerConfig
    patterns: Mapping[str, LayerConfig]
    used: set[str] = field(default_factory=set)

    def of(self, name: str) -> LayerConfig:
        pattern = next((p for p in self.patterns if fnmatchcase(name, p)), None)
        if pattern is None:
            return self.default
        self.used.add(pattern)
        return self.patterns[pattern]


Norm = nn.BatchNorm1d | nn.BatchNorm2d


def _take_out_folded(twin: fx.GraphModule, configs: _Configs) -> dict[str, Norm]:
    """Take every BatchNorm out of the graph that goes into the layer before it, named by that."""
    calls = _calls(twin)
    folded: dict[str, Norm] = {}
    for name, nodes in calls.items():
        layer = twin.get_submodule(name) if nodes[0] in twin.graph.nodes else None
        if type(layer) not in (nn.Linear, nn.Conv1d, nn.Conv2d) or len(nodes) != 1:
            continue
        users = list(nodes[0].users)
        if len(users) != 1 or users[0].op != "call_module" or not configs.of(name).fold_batchnorm:
            continue
        norm = twin.get_submodule(str(users[0].target))
        once = len(calls[str(users[0].target)]) == 1
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and once:
            folded[name] = norm
            users[0].replace_all_uses_with(nodes[0])
            twin.graph.erase_node(users[0])
            twin.delete_submodule(str(users[0].target))
    return folded


def _calls(twin: fx.GraphModule) -> dict[str, list[fx.Node]]:
    calls: dict[str, list[fx.Node]] = {}
    for node in twin.graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)
    return calls


def _replace_modules(twin: fx.GraphModule, configs: _Configs, folded: Mapping[str, Norm]) -> None:
    problems = []
    for name, nodes in _calls(twin).items():
        layer = twin.get_submodule(name)
        if isinstance(layer, PASSING):
            continue
        make = MODULES.get(type(layer))
        if make is None:
            problems.append(f"{name}: expected a layer with a twin, got {type(layer).__name__}")
            continue
        chosen = configs.of(name)
        quantize = make.role is Role.VALUE or any(_needs_integers(twin, node) for node in nodes)
        made = make.build(layer, chosen, quantize)
        if name in folded and isinstance(made, Weighted):
            try:
                made.fold(folded[name], chosen.bias)
            except NumericError as error:
                problems.append(f"{name}: {error}")
        _put(twin, name, made)
    unused = [pattern for pattern in configs.patterns if pattern not in configs.used]
    if unused:
        problems.append(f"patterns: expected each to fit a layer, got none for {', '.join(unused)}")
    if problems:
        raise _refusal(problems)


def _needs_integers(twin: fx.GraphModule, node: fx.Node) -> bool:
    """Say whether something that reads this sum needs it quantized."""
    for user in node.users:
        if user.op == "output":
            continue
        layer = twin.get_submodule(str(user.target))
        if isinstance(layer, PASSING):
            if _needs_integers(twin, user):
                return True
            continue
        make = MODULES.get(type(layer))
        # A twin that stands already was a torch.nn layer: its table entry is that of its base.
        make = make or next((MODULES[b] for b in type(layer).__mro__ if b in MODULES), None)
        if make is None or not make.reads_sums:
            return True
    return False


def _quantize_input(twin: fx.GraphModule, config: OutputConfig) -> None:
    for node in list(twin.graph.nodes):
        if node.op == "placeholder":
            twin.add_submodule(_INPUT, Identity(output=config))
            with twin.graph.inserting_after(node):
                call = twin.graph.call_module(_INPUT, (node,))
            node.replace_all_uses_with(call, lambda user, call=call: user is not call)
            return


def _put(twin: fx.GraphModule, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    layer.train(twin.get_submodule(name).training)
    setattr(twin.get_submodule(parent), last, layer)


def _refusal(problems: list[str]) -> ExportError:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return ExportError(
        f"the model has no quantized twin, {len(problems)} in the way:\n{lines}\n"
        f"there are twins of {supported()}"
    )
