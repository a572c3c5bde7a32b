"""The whole put together: operators into layers, layers and AXI boundary into the top module."""
