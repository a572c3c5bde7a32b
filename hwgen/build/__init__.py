"""Tool flows: from emitted Verilog to synthesis reports, vendor projects and drivers."""

from hwgen.callable_module import make_callable

make_callable(__name__, "hwgen.commands.build", "build_model")
