"""Hardware components that operators share: streams, adders, dot-product kernels, AXI."""
