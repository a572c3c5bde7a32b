"""ONNX -> IR: read, fold constants, split into linear boxes and element-wise chains."""

from hwgen.frontend.load import load, load_model, supported_nodes

__all__ = ["load", "load_model", "supported_nodes"]
