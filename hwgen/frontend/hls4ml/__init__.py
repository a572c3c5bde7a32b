"""A model as hls4ml's ONNX front end reads it: channels last, and of its operators only."""

from hwgen.frontend.hls4ml.convert import convert

__all__ = ["convert"]
