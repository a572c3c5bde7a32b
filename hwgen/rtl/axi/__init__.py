"""The accelerator's boundary: AXI4-Stream for frames, AXI4-Lite for control and counters."""
