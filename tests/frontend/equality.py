"""One model, three executions: the imported graph, the graph after the passes, two executors."""

import numpy as np

from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from hwgen.ir.text import parse_graph, print_graph
from hwgen.ops.registry import OPERATORS
from hwgen.passes import PASSES, run_passes
from tests.frontend.models import execute_with_qonnx


def integer_outputs(model, frames):
    """Model-shaped outputs of the imported graph, and of the graph after the passes."""
    graph = load_model(model)
    lowered = run_passes(graph, PASSES)
    assert parse_graph(print_graph(lowered), OPERATORS) == lowered
    codes = graph.inputs[0].quantize(frames)
    outputs = lowered.dequantize(lowered.evaluate(codes))
    assert np.array_equal(graph.dequantize(graph.evaluate(codes)), outputs)
    return outputs


def assert_equal_everywhere(model, frames):
    """Every output is that of qonnx and of ONNX's own evaluator; return the graph."""
    outputs = integer_outputs(model, frames)
    reference = execute_with_qonnx(model, frames)
    assert outputs.shape == reference.shape
    assert np.array_equal(outputs, reference)
    assert np.array_equal(execute(model, frames), reference)
    return run_passes(load_model(model), PASSES)


def kinds(graph):
    """The operators of a graph, in order."""
    return [node.op.name for node in graph.nodes]
