"""`hwgen check --samples`: a model's own frames by the integer graph and by the float executor.

Where an output differs, the first tensor that differs in that frame is found. Everything before it
agrees, so the difference arose there: in the float32 roundings of one product and the function
behind it. It is shown that the exact result lies no farther from the boundary between two codes
than these roundings can reach.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError
from hwgen.frontend.execute import execute, execute_tensors
from hwgen.frontend.explain import Explanation
from hwgen.frontend.integers import Tensor
from hwgen.ir import Codes, Graph
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_ties import UNIT_ROUNDOFF, exact_chain
from hwgen.passes import SettleTies, Tabulate, run_passes

AT_ONCE = 64  # frames in memory
Frames = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Agreement:
    """How a set of frames compares.

    Parameters
    ----------
    frames, codes : compared
    frames_that_differ, codes_that_differ : of these, at the output
    at_ties : frames whose first difference is shown to be a float32 rounding tie
    farthest : the largest distance of such a tie from the boundary, in codes of its tensor
    """

    frames: int
    codes: int
    frames_that_differ: int
    codes_that_differ: int
    at_ties: int
    farthest: float

    def sentence(self) -> str:
        """Return it in words."""
        words = (
            f"{self.codes_that_differ} of {self.codes} output codes differ from the float "
            f"execution, in {self.frames_that_differ} of {self.frames} frames"
        )
        if not self.frames_that_differ:
            return words
        shown = f"; in {self.at_ties} of these the first difference is a float32 rounding tie"
        return f"{words}{shown}, at most {self.farthest:.2g} codes from the boundary"


def read_frames(path: Path) -> Frames:
    """Return the array in `.npy` file `path`, frames along its first axis."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise HwgenError(f"{path}: not a .npy array of numbers: {error}") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "fiub" or not frames.ndim:
        raise HwgenError(f"{path}: expected one array of numbers, frames along its first axis")
    return frames


def compare(model: Path, explanation: Explanation, frames: Frames) -> Agreement:
    """Run `frames` both ways."""
    assert explanation.graph is not None
    # These passes keep every value under its name.
    graph = run_passes(explanation.graph, (SettleTies(), Tabulate()))
    unit = graph.as_model(_scales(graph, graph.outputs[0])[None])
    codes = differing = frames_differing = at_ties = 0
    farthest = 0.0
    for start in range(0, len(frames), AT_ONCE):
        part = np.asarray(frames[start : start + AT_ONCE], dtype=np.float32)
        sent = graph.inputs[0].quantize(part)
        part = part.reshape(len(part), *graph.inputs[0].frame_shape)
        ours = graph.as_model(graph.evaluate(sent))
        wrong = np.rint(execute(model, part).reshape(ours.shape) / unit) != ours
        codes, differing = codes + wrong.size, differing + int(wrong.sum())
        which = np.flatnonzero(wrong.reshape(len(part), -1).any(axis=1))
        frames_differing += len(which)
        for frame in which:
            one = slice(frame, frame + 1)
            distance = _first_tie(model, explanation, graph, part[one], sent[one])
            if distance is not None:
                at_ties, farthest = at_ties + 1, max(farthest, distance)
    return Agreement(len(frames), codes, frames_differing, differing, at_ties, farthest)


def _scales(graph: Graph, value: str) -> npt.NDArray[np.float64]:
    shape = graph.types[value].shape
    return np.broadcast_to(np.array(graph.scale_of(value), dtype=np.float64), shape)


def _first_tie(
    model: Path, explanation: Explanation, graph: Graph, frame: Frames, sent: Codes
) -> float | None:
    """Return how far the first difference in `frame` is from a boundary; None if not at a tie."""
    values = graph.trace(sent)
    tensors = explanation.tensors
    floats = execute_tensors(model, frame, [n for n in tensors if _is_made(graph, tensors[n])])
    for name, given in floats.items():
        tensor = tensors[name]
        wrong = _codes(graph, tensor, given) != values[tensor.value].reshape(-1)
        if wrong.any():
            shape = graph.types[tensor.value].shape
            return _distance(explanation, tensor.value, values, wrong.reshape(1, *shape))
    return None


def _is_made(graph: Graph, tensor: Tensor) -> bool:
    return any(node.name == tensor.value for node in graph.nodes)


def _codes(graph: Graph, tensor: Tensor, given: npt.NDArray) -> Codes:
    """Return float execution's tensor as codes in the order in which they stream."""
    streamed = np.empty(tensor.order.size)
    streamed[tensor.order.ravel()] = given.ravel()
    if tensor.zero_point is not None:
        return (streamed - tensor.zero_point).astype(np.int64)
    return np.rint(streamed / _scales(graph, tensor.value).ravel()).astype(np.int64)


def _distance(
    explanation: Explanation, value: str, values: Mapping[str, Codes], wrong: npt.NDArray[np.bool_]
) -> float | None:
    """Return the distance of wrong codes from a boundary, None if float32 cannot reach so far."""
    graph = explanation.graph
    assert graph is not None
    node = graph.node(value)
    if not isinstance(node.op, Elementwise):
        # A requantization made of a sum of free scales: every pair was tried on import.
        free = len(node.inputs) == 1 and graph.node(node.inputs[0]).op.name == "add"
        return 0.0 if free else None
    chain = exact_chain(node.op.steps, node.op.quantizer, node.op.channels)
    if chain is None:
        return None
    sums = node.inputs[0]
    scale = np.array(node.op.scale)
    terms = values[sums] * scale
    _, distance = chain.near_ties([terms])
    span = graph.types[sums].codes
    # The roundings of the float product: as many as it has terms, each of at most their sum.
    size = np.abs(chain.slope) * scale * float(span.hi - span.lo) + chain.reach
    bound = (chain.roundings + _fan_in(graph, sums)) * UNIT_ROUNDOFF * size
    reached = np.broadcast_to(bound, distance.shape)[wrong]
    if (distance[wrong] > reached).any():
        return None
    return float(distance[wrong].max())


def _fan_in(graph: Graph, value: str) -> int:
    """Return how many products or terms a value adds."""
    for node in graph.nodes:
        if node.name == value:
            weights = getattr(node.op, "weights", None)
            if isinstance(weights, np.ndarray):
                return int(weights.shape[-1])
            kernel = getattr(node.op, "kernel", (1, 1))
            return int(np.prod(kernel)) * len(node.inputs)
    return 1
