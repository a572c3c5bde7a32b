"""Enough of Vivado to run the generated Tcl: a real Tcl interpreter, each Vivado command a Python
method that knows what the command accepts (cells, pins and interfaces of the IP used, UG835) and
refuses the rest. Files are made where Vivado would make them.
"""

import itertools
import tkinter
from pathlib import Path

# The ports of each IP, as its product guide names them.
_IP_PORTS = {
    "zynq_ultra_ps_e": {
        "intf": {"M_AXI_HPM0_LPD", "S_AXI_HP0_FPD"},
        "pin": {"pl_clk0", "pl_resetn0", "maxihpm0_lpd_aclk", "saxihp0_fpd_aclk"},
    },
    "processing_system7": {
        "intf": {"M_AXI_GP0", "S_AXI_HP0"},
        "pin": {"FCLK_CLK0", "FCLK_RESET0_N", "M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"},
    },
    "proc_sys_reset": {
        "intf": set(),
        "pin": {"slowest_sync_clk", "ext_reset_in", "peripheral_aresetn"},
    },
    "smartconnect": {"intf": set(), "pin": {"aclk", "aresetn"}},  # S00_AXI... by NUM_SI, NUM_MI
    "axi_dma": {
        "intf": {"S_AXI_LITE", "M_AXI_MM2S", "M_AXI_S2MM", "M_AXIS_MM2S", "S_AXIS_S2MM"},
        "pin": {"s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk", "axi_resetn"},
    },
    "axis_dwidth_converter": {"intf": {"S_AXIS", "M_AXIS"}, "pin": {"aclk", "aresetn"}},
}
_DRIVERS = {"pl_clk0", "FCLK_CLK0", "pl_resetn0", "FCLK_RESET0_N", "peripheral_aresetn"}
_COMMANDS = """create_project close_project current_project current_fileset add_files set_property
get_property update_compile_order get_board_parts update_ip_catalog create_bd_design create_bd_cell
apply_bd_automation get_bd_pins get_bd_intf_pins connect_bd_net connect_bd_intf_net
assign_bd_address validate_bd_design save_bd_design get_files make_wrapper launch_runs wait_on_run
get_runs open_run report_utilization report_timing_summary write_hw_platform puts""".split()
_IPX_COMMANDS = """package_project current_core get_bus_interfaces infer_bus_interface
associate_bus_interfaces get_bus_parameters add_bus_parameter get_memory_maps add_memory_map
add_address_block get_address_blocks create_xgui_files update_checksums check_integrity
save_core""".split()


class VivadoError(Exception):
    """A command that the real program would refuse."""


def options(arguments, flags=(), valued=()):
    """Split a command line into options and the rest; an unknown option is refused."""
    found, rest, words = {}, [], iter(arguments)
    for word in words:
        if word in flags:
            found[word] = True
        elif word in valued:
            found[word] = next(words)
        elif word.startswith("-"):
            raise VivadoError(f"unknown option {word}")
        else:
            rest.append(word)
    return found, rest


class VivadoStandIn:
    """Runs one script; what happened is in the attributes afterwards."""

    def __init__(self, *, board_parts=(), infers=(), slack_ns="0.5", progress="100%"):
        self.tcl = tkinter.Tcl()
        self.board_parts, self.infers = board_parts, infers
        self.run_properties = {"PROGRESS": progress, "STATS.WNS": slack_ns, "STATUS": "stopped"}
        self.calls, self.projects, self.files = [], [], []
        self.properties = {}  # object -> {name: value}
        self.cells, self.intf_nets, self.nets = {}, [], {}
        self.interfaces, self.associations, self.memory_maps = {}, set(), set()
        self.packaged, self.validated, self.addresses = None, False, False
        self.tcl.eval("namespace eval ipx {}; rename puts tcl_puts")
        for name in _COMMANDS:
            self._register(name, getattr(self, name))
        for name in _IPX_COMMANDS:
            self._register(f"ipx::{name}", getattr(self, f"ipx_{name}"))

    def _register(self, name, method):
        def call(*arguments):
            self.calls.append((name, *arguments))
            try:
                return method(*arguments) or ""
            except (VivadoError, AssertionError) as error:
                self.refusal = error  # Tcl only learns that there was one
                raise

        self.tcl.createcommand(name, call)

    def source(self, script):
        self.refusal = None
        try:
            self.tcl.call("source", str(script))
        except tkinter.TclError:
            if self.refusal is not None:
                raise self.refusal from None
            raise

    def names(self):
        return [call[0] for call in self.calls]

    def split(self, word):
        return list(self.tcl.splitlist(word))

    # Projects and files.

    def create_project(self, *arguments):
        found, (name, folder) = options(arguments, ["-force"], ["-part"])
        assert found["-part"]
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.projects.append({"name": name, "folder": Path(folder), **found})
        return name

    def close_project(self):
        self.projects[-1]["closed"] = True

    def current_project(self):
        if not self.projects or "closed" in self.projects[-1]:
            raise VivadoError("no open project")
        return f"project:{self.projects[-1]['name']}"

    def current_fileset(self):
        return "fileset"

    def add_files(self, *arguments):
        _, (files,) = options(arguments, ["-norecurse"])
        for file in self.split(files):
            if not Path(file).is_file():
                raise VivadoError(f"add_files: no file {file}")
            self.files.append(Path(file))

    def set_property(self, *arguments):
        if arguments[0] == "-dict":
            pairs, target = self.split(arguments[1]), arguments[2]
            new = dict(zip(pairs[::2], pairs[1::2], strict=True))
        else:
            name, value, target = arguments
            new = {name: value}
        if not target:
            raise VivadoError("set_property: no object")
        self.properties.setdefault(target, {}).update(new)

    def get_property(self, name, target):
        assert target == "run:impl_1"
        return self.run_properties[name]

    def update_compile_order(self, *arguments):
        options(arguments, valued=["-fileset"])

    def get_board_parts(self, *arguments):
        options(arguments, ["-quiet", "-latest_file_version"])
        return " ".join(self.board_parts)

    def update_ip_catalog(self, *arguments):
        options(arguments, ["-rebuild"])

    # Block design.

    def create_bd_design(self, name):
        self.design = name

    def create_bd_cell(self, *arguments):
        found, (name,) = options(arguments, valued=["-type", "-vlnv"])
        if name in self.cells:
            raise VivadoError(f"cell {name} exists")
        _vendor, library, ip, *_ = found["-vlnv"].split(":")
        if library == "ip" and ip not in _IP_PORTS:
            raise VivadoError(f"no IP {ip}")
        if library != "ip" and found["-vlnv"] != self.packaged_vlnv():
            raise VivadoError(f"no IP {found['-vlnv']} in the catalog")
        self.cells[name] = ip
        return f"/{name}"

    def packaged_vlnv(self):
        properties = self.properties["core"]
        packaged = (self.packaged["-vendor"], self.packaged["-library"])
        return ":".join((*packaged, properties["name"], properties["version"]))

    def apply_bd_automation(self, *arguments):
        found, (cell,) = options(arguments, valued=["-rule", "-config"])
        pairs = self.split(found["-config"])
        dict(zip(pairs[::2], pairs[1::2], strict=True))
        assert found["-rule"] == f"xilinx.com:bd_rule:{self.cells[cell.removeprefix('/')]}"

    def _port(self, path, kind):
        cell, port = path.split("/")
        ip = self.cells[cell]
        if ip not in _IP_PORTS:
            known = {
                "intf": {n for n, k in self.interfaces.items() if ":signal:" not in k},
                "pin": {n for n, k in self.interfaces.items() if ":signal:" in k},
            }[kind]
        else:
            known = set(_IP_PORTS[ip][kind])
        if ip == "smartconnect" and kind == "intf":
            settings = self.properties[f"/{cell}"]
            for side, count in (("S", "CONFIG.NUM_SI"), ("M", "CONFIG.NUM_MI")):
                known |= {f"{side}{n:02}_AXI" for n in range(int(settings[count]))}
        if port not in known:
            raise VivadoError(f"{ip} {cell} has no {kind} {port}; it has {sorted(known)}")
        return path

    def get_bd_pins(self, path):
        return self._port(path, "pin")

    def get_bd_intf_pins(self, path):
        return self._port(path, "intf")

    def connect_bd_intf_net(self, first, second):
        for port in (first, second):
            if port in itertools.chain(*self.intf_nets):
                raise VivadoError(f"{port} is connected already")
        self.intf_nets.append((first, second))

    def connect_bd_net(self, driver, load):
        if driver.split("/")[1] not in _DRIVERS or load.split("/")[1] in _DRIVERS:
            raise VivadoError(f"{driver} does not drive {load}")
        if load in self.nets:
            raise VivadoError(f"{load} is connected already")
        self.nets[load] = driver

    def assign_bd_address(self):
        self.addresses = True

    def validate_bd_design(self):
        """Every input pin driven, every interface connected, widths of stream ends equal."""
        assert self.addresses
        connected = set(itertools.chain(*self.intf_nets))
        for cell, ip in self.cells.items():
            ports = _IP_PORTS.get(ip)
            if ports is None:
                pins, intfs = {"aclk", "aresetn"}, {"s_axis", "m_axis", "s_axil"}
            else:
                pins, intfs = ports["pin"] - _DRIVERS, set(ports["intf"])
            if ip == "smartconnect":
                settings = self.properties[f"/{cell}"]
                intfs = {f"S{n:02}_AXI" for n in range(int(settings["CONFIG.NUM_SI"]))}
                intfs |= {f"M{n:02}_AXI" for n in range(int(settings["CONFIG.NUM_MI"]))}
            for pin in pins:
                if f"{cell}/{pin}" not in self.nets:
                    raise VivadoError(f"{cell}/{pin} is not driven")
            for intf in intfs:
                if f"{cell}/{intf}" not in connected:
                    raise VivadoError(f"{cell}/{intf} is not connected")
        self.validated = True

    def save_bd_design(self):
        assert self.validated

    def get_files(self, name):
        return str(self.projects[-1]["folder"] / name)

    def make_wrapper(self, *arguments):
        found, _ = options(arguments, ["-top"], ["-files"])
        wrapper = Path(found["-files"]).with_name("shell_wrapper.v")
        wrapper.write_text("module shell_wrapper; endmodule\n")
        return str(wrapper)

    # Runs and reports.

    def launch_runs(self, *arguments):
        _, (run,) = options(arguments, valued=["-to_step", "-jobs"])
        assert (run, self.properties["fileset"]["top"]) == ("impl_1", "shell_wrapper")
        folder = self.projects[-1]["folder"]
        directory = folder / "shell.runs" / "impl_1"
        directory.mkdir(parents=True)
        (directory / "shell_wrapper.bit").write_text("bits")
        handoff = folder / "shell.gen" / "sources_1" / "bd" / "shell" / "hw_handoff"
        handoff.mkdir(parents=True)
        (handoff / "shell.hwh").write_text("handoff")
        self.run_properties["DIRECTORY"] = str(directory)

    def wait_on_run(self, run):
        assert run == "impl_1"

    def get_runs(self, run):
        return f"run:{run}"

    def open_run(self, run):
        assert self.run_properties["PROGRESS"] == "100%"

    def report_utilization(self, *arguments):
        found, _ = options(arguments, ["-hierarchical"], ["-file"])
        Path(found["-file"]).write_text("utilization")

    def report_timing_summary(self, *arguments):
        found, _ = options(arguments, valued=["-file"])
        Path(found["-file"]).write_text("timing")

    def write_hw_platform(self, *arguments):
        found, _ = options(arguments, ["-fixed", "-include_bit", "-force"], ["-file"])
        Path(found["-file"]).write_text("platform")

    def puts(self, text):
        pass

    # IP packager.

    def ipx_package_project(self, *arguments):
        found, _ = options(
            arguments,
            ["-import_files", "-force"],
            ["-root_dir", "-vendor", "-library", "-taxonomy"],
        )
        assert self.files
        self.packaged = found
        for name, kind in self.infers:
            self.interfaces[name] = kind
            if ":aximm" in kind:
                self.memory_maps.add(name)

    def ipx_current_core(self):
        return "core"

    def _of(self, arguments, known, prefix):
        found, (name,) = options(arguments, ["-quiet"], ["-of_objects"])
        if name not in known and "-quiet" not in found:
            raise VivadoError(f"no {prefix} {name}")
        return f"{prefix}:{name}" if name in known else ""

    def ipx_get_bus_interfaces(self, *arguments):
        return self._of(arguments, self.interfaces, "interface")

    def ipx_infer_bus_interface(self, ports, kind, core):
        ports = self.split(ports)
        name = ports[0].rsplit("_", 1)[0] if len(ports) > 1 else ports[0]
        if name in self.interfaces:
            raise VivadoError(f"interface {name} exists")
        self.interfaces[name] = kind

    def ipx_associate_bus_interfaces(self, *arguments):
        found, _ = options(arguments, valued=["-busif", "-clock", "-reset"])
        assert set(found.values()) <= set(self.interfaces)
        self.associations.add(tuple(sorted(found.items())))

    def ipx_get_bus_parameters(self, *arguments):
        return self._of(arguments, self.properties.get("parameters", {}), "parameter")

    def ipx_add_bus_parameter(self, name, interface):
        assert interface == "interface:aresetn"
        self.properties.setdefault("parameters", {})[name] = None

    def ipx_get_memory_maps(self, *arguments):
        return self._of(arguments, self.memory_maps, "map")

    def ipx_add_memory_map(self, name, core):
        self.memory_maps.add(name)

    def ipx_add_address_block(self, name, memory_map):
        assert memory_map == "map:s_axil"
        self.properties.setdefault("blocks", {})[name] = None

    def ipx_get_address_blocks(self, *arguments):
        return self._of(arguments, self.properties["blocks"], "block")

    def ipx_create_xgui_files(self, core):
        pass

    def ipx_update_checksums(self, core):
        pass

    def ipx_check_integrity(self, core):
        pass

    def ipx_save_core(self, core):
        assert self.properties[core].keys() >= {"name", "version", "description"}
