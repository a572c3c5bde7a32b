"""hwgen: a quantized network in, Verilog that computes the same integers out."""

__version__ = "0.1.0"
