"""The Vivado scripts, run in a Tcl interpreter against a stand-in for Vivado's commands."""

import os
import stat
import tkinter

import pytest

from hwgen.board import load_board
from hwgen.build.templates import tcl_quote
from hwgen.build.vivado import (
    DMA_STREAM_BITS,
    SCRIPTS,
    DesignInfo,
    dma_stream_bits,
    run_vivado,
    write_vivado_project,
)
from hwgen.errors import BoardError, ToolError
from tests.build.vivado_stand_in import VivadoError, VivadoStandIn

INFERRED = (
    ("s_axis", "xilinx.com:interface:axis_rtl:1.0"),
    ("m_axis", "xilinx.com:interface:axis_rtl:1.0"),
    ("s_axil", "xilinx.com:interface:aximm_rtl:1.0"),
    ("aclk", "xilinx.com:signal:clock_rtl:1.0"),
    ("aresetn", "xilinx.com:signal:reset_rtl:1.0"),
)
HOSTILE = ["plain", "with space", "do[llar$x]", "un{balanced", "br}ace", 'qu"ote', "semi;exec", "ü"]


@pytest.fixture
def project(tmp_path):
    """Write a project under `folder`; return its build.tcl."""

    def project(board="ultra96", s_bits=32, m_bits=32, folder="build", clock_mhz=None):
        build = tmp_path / folder
        rtl = build / "rtl"
        rtl.mkdir(parents=True)
        files = tuple(rtl / f"{name}.v" for name in ("digits", "n0001_matvec", "n0002_thresholds"))
        for file in files:
            file.write_text(f"module {file.stem}; endmodule\n")
        chosen = load_board(board)
        design = DesignInfo("digits", files, s_bits, m_bits)
        clock = clock_mhz or chosen.default_clock_mhz
        return write_vivado_project(build, chosen, design, clock)

    return project


@pytest.mark.parametrize("infers", [INFERRED, ()], ids=["inferred", "stated"])
@pytest.mark.parametrize("board_parts", [("avnet.com:ultra96v2:part0:1.2",), ()])
@pytest.mark.parametrize("board", ["ultra96", "pynq-z2"])
def test_from_rtl_to_bitstream(project, board, board_parts, infers):
    script = project(board)
    vivado = VivadoStandIn(board_parts=board_parts, infers=infers)
    vivado.source(script)
    folder = script.parent
    for name in ("digits.bit", "digits.hwh", "digits.xsa", "utilization.rpt", "timing.rpt"):
        assert (folder / name).is_file()
    assert {p["-part"] for p in vivado.projects} == {load_board(board).part}
    assert [file.name for file in vivado.files] == [
        "digits.v",
        "n0001_matvec.v",
        "n0002_thresholds.v",
        "shell_wrapper.v",
    ]
    assert dict(vivado.interfaces) == dict(INFERRED)
    assert vivado.memory_maps == {"s_axil"}
    assert vivado.associations == {
        (("-busif", "s_axis"), ("-clock", "aclk")),
        (("-busif", "m_axis"), ("-clock", "aclk")),
        (("-busif", "s_axil"), ("-clock", "aclk")),
        (("-clock", "aclk"), ("-reset", "aresetn")),
    }
    assert vivado.properties["parameter:POLARITY"] == {"value": "ACTIVE_LOW"}
    expected_board_part = {"board_part": board_parts[0]} if board_parts else {}
    shell = vivado.properties["project:shell"]
    assert {key: shell[key] for key in shell if key == "board_part"} == expected_board_part


def test_order_of_the_stages(project):
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(project())
    stages = [
        "ipx::package_project",
        "ipx::save_core",
        "close_project",
        "create_bd_design",
        "assign_bd_address",
        "validate_bd_design",
        "make_wrapper",
        "launch_runs",
        "report_utilization",
        "write_hw_platform",
    ]
    positions = [vivado.names().index(stage) for stage in stages]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("board", "key"),
    [
        ("ultra96", "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"),
        ("pynq-z2", "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ"),
    ],
)
def test_requested_clock_reaches_the_processor(project, board, key):
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(project(board, clock_mhz=62.5))
    assert vivado.properties["/ps"][key] == "62.5"


def test_streams_of_a_dma_width_are_connected_directly(project):
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(project(s_bits=64, m_bits=8))
    assert ("dma/M_AXIS_MM2S", "accelerator/s_axis") in vivado.intf_nets
    assert ("accelerator/m_axis", "dma/S_AXIS_S2MM") in vivado.intf_nets
    settings = vivado.properties["/dma"]
    assert settings["CONFIG.c_m_axis_mm2s_tdata_width"] == "64"
    assert settings["CONFIG.c_s_axis_s2mm_tdata_width"] == "8"
    # The memory side is never narrower than 32 bits nor than the stream.
    assert settings["CONFIG.c_m_axi_mm2s_data_width"] == "64"
    assert settings["CONFIG.c_m_axi_s2mm_data_width"] == "32"


def test_other_widths_get_a_converter(project):
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(project(s_bits=24, m_bits=2048))
    assert ("input_width/M_AXIS", "accelerator/s_axis") in vivado.intf_nets
    assert ("accelerator/m_axis", "output_width/S_AXIS") in vivado.intf_nets
    widths = ("CONFIG.S_TDATA_NUM_BYTES", "CONFIG.M_TDATA_NUM_BYTES")
    assert [vivado.properties["/input_width"][key] for key in widths] == ["4", "3"]
    assert [vivado.properties["/output_width"][key] for key in widths] == ["256", "128"]


def test_dma_width_for_every_stream_width():
    for tdata_bytes in range(1, 513):
        bits = dma_stream_bits(8 * tdata_bytes)
        assert bits in DMA_STREAM_BITS
        common = next(n for n in range(bits // 8, 1 << 20, bits // 8) if n % tdata_bytes == 0)
        assert bits == 8 * tdata_bytes or common <= 512


def test_stream_too_wide_for_the_dma():
    with pytest.raises(ToolError, match=r"8192 bits cannot be converted .*fold the first or last"):
        dma_stream_bits(8192)


@pytest.mark.parametrize("folder", HOSTILE)
def test_hostile_folders(project, folder):
    """The build folder's own name is no part of the scripts; they find it at run time."""
    script = project(folder=folder)
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(script)
    assert (script.parent / "digits.bit").is_file()
    assert folder == "plain" or folder not in script.read_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_names(tmp_path, name):
    file = tmp_path / "rtl" / f"{name}.v"
    file.parent.mkdir()
    file.write_text("module digits; endmodule\n")
    design = DesignInfo("digits", (file,), 32, 32)
    vivado = VivadoStandIn(infers=INFERRED)
    vivado.source(write_vivado_project(tmp_path, load_board("ultra96"), design, 100))
    assert vivado.files[0].samefile(file)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "", "a\nb", "\\", "#x", "-force", "\t", "a\\\nb", "\x7f"]
)
def test_tcl_quote_gives_one_word_at_any_depth(text):
    tcl = tkinter.Tcl()
    word = tcl_quote(text)
    assert tcl.eval(f"set x {word}") == text
    assert tcl.eval(f"proc f {{}} {{ if {{1}} {{ return {word} }} }}; f") == text
    assert tcl.eval(f"llength [list {word}]") == "1"


def test_tcl_quote_refuses_what_tcl_does_not_have():
    with pytest.raises(ToolError, match=r"U\+1F600"):
        tcl_quote("\U0001f600")


def test_slow_design_is_an_error_after_its_reports(project):
    script = project()
    with pytest.raises(tkinter.TclError, match=r"timing is not met at 150 MHz: worst slack -0\.3"):
        VivadoStandIn(infers=INFERRED, slack_ns="-0.3").source(script)
    assert (script.parent / "timing.rpt").is_file()


def test_stopped_run_is_an_error(project):
    with pytest.raises(tkinter.TclError, match="implementation stopped: stopped"):
        VivadoStandIn(infers=INFERRED, progress="30%").source(project())


def test_stand_in_notices_mistakes(project):
    """A script with a wrong pin, a missing connection or an unknown command does not pass."""
    script = project()
    design = script.with_name("block_design.tcl")
    text = design.read_text()
    for old, new, error in [
        ("dma/axi_resetn", "dma/aresetn", VivadoError),
        ("connect_interface dma/M_AXI_S2MM memory_interconnect/S01_AXI\n", "", VivadoError),
        ("validate_bd_design", "validate_design", tkinter.TclError),
        ("$ps_memory\n", "$ps_memroy\n", tkinter.TclError),
    ]:
        assert old in text
        design.write_text(text.replace(old, new))
        with pytest.raises(error):
            VivadoStandIn(infers=INFERRED).source(script)


def test_same_bytes_wherever_it_lies(project):
    first, second = project(folder="one"), project(folder="two")
    for name in SCRIPTS:
        assert first.with_name(name).read_bytes() == second.with_name(name).read_bytes()


@pytest.mark.parametrize("top", ["", "Top", "9a", "a b", "a;exit", "a" * 64, "_a", "ä", "a\n"])
def test_top_is_an_identifier(top):
    with pytest.raises(ToolError, match="the top module's name is"):
        DesignInfo(top, (), 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"s_axis_tdata_bits": 12}, "s_axis_tdata has 12 bits, expected a multiple of 8"),
        ({"m_axis_tdata_bits": 0}, "m_axis_tdata has 0 bits"),
        ({"version": "1.0; exit"}, "the IP's version is '1.0; exit'"),
        ({"vendor": "a:b"}, "the IP's vendor is 'a:b'"),
    ],
)
def test_design_that_makes_no_sense(options, message):
    with pytest.raises(ToolError, match=message):
        DesignInfo(
            **{"top": "t", "rtl_files": (), "s_axis_tdata_bits": 8}
            | {"m_axis_tdata_bits": 8}
            | options
        )


def test_missing_rtl(tmp_path):
    design = DesignInfo("digits", (tmp_path / "gone.v",), 8, 8)
    with pytest.raises(ToolError, match=r"no such Verilog file: .*gone\.v"):
        write_vivado_project(tmp_path, load_board("ultra96"), design, 100)
    assert not (tmp_path / "vivado").exists()


def test_clock_beyond_the_board(project):
    with pytest.raises(BoardError, match="1000 MHz was asked for"):
        project(clock_mhz=1000)


class TestRunVivado:
    @pytest.fixture
    def program(self, tmp_path, monkeypatch):
        """Put a script called vivado on the PATH."""

        def program(text):
            path = tmp_path / "bin" / "vivado"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

        return program

    def test_results(self, project, program):
        build = project().parents[1]
        program('touch d.bit d.hwh d.xsa utilization.rpt timing.rpt; echo "$@" > arguments')
        outputs = run_vivado(build)
        assert outputs.bitstream == build / "vivado" / "d.bit"
        arguments = (build / "vivado" / "arguments").read_text()
        assert arguments == "-mode batch -nojournal -log build.log -source build.tcl\n"

    def test_not_installed(self, project, monkeypatch):
        build = project().parents[1]
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(
            ToolError, match=r"vivado: not on the PATH\. Source settings64\.sh"
        ) as caught:
            run_vivado(build)
        assert caught.value.exit_code == 3

    def test_failure_shows_vivados_errors(self, project, program):
        build = project().parents[1]
        program("echo INFO: noise; echo 'ERROR: [Common 17-69] no licence'; exit 1")
        with pytest.raises(
            ToolError, match=r"exit code 1; .*build\.log:\n  ERROR: \[Common 17-69\]"
        ):
            run_vivado(build)

    def test_result_left_out(self, project, program):
        build = project().parents[1]
        program("touch d.bit")
        with pytest.raises(ToolError, match=r"left no \*\.hwh"):
            run_vivado(build)

    def test_no_project(self, tmp_path):
        with pytest.raises(ToolError, match=r"build\.tcl: not there; run hwgen build"):
            run_vivado(tmp_path)
