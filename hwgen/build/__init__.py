"""Tool flows: from emitted Verilog to synthesis reports, vendor projects and drivers."""
