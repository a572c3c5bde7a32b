"""`synthesize`: Verilog to a table of device resources, by yosys, without a vendor tool.

The hierarchy stands until the coarse stage is over and is flattened then. Flattened earlier,
yosys re-associates chained adders across modules: adder graphs grow by 17 to 42 % and take
minutes instead of seconds. Sums of three numbers are mapped to one carry chain, which yosys by
itself does not know (`rtl_templates/primitives/ternary_adder.v`). Multipliers of 9 result bits and
more become DSPs, except in modules with the attribute `use_dsp = "no"`, as in Vivado.

Source: https://yosyshq.readthedocs.io/projects/yosys, `synth_xilinx`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hwgen.board import Board
from hwgen.build.xilinx_cells import resources_of_cells
from hwgen.build.yosys import quote_path, run_yosys
from hwgen.cost import Resources
from hwgen.errors import ToolError
from hwgen.resources import cache_folder, data_folder

# Part of the cache's key: raise it when the commands below change.
_FLOW_REVISION = 11
_LUT_RAMS = "lutrams_xcu.txt"
_WRONG, _RIGHT = (f'option "ABITS" {bits} {{\n\t\tabits {bits};' for bits in (16, 9))
_ROM_LUTS = Path(__file__).with_name("rom_luts.v")
# ROMs of at most 64 words, those told to stay in LUTs, and constants that are indexed.
_IN_LUTS = "t:$mem_v2 r:ABITS<=6 %i t:$mem_v2 a:rom_style=distributed %i t:$shr"
_THREE_OPERAND_SUMS = Path(__file__).with_name("three_operand_sums.v")
_OUTPUTS = ("netlist.v", "stat.json", "yosys.log")


@dataclass(frozen=True)
class SynthesisReport:
    """What synthesis by yosys counted.

    Parameters
    ----------
    resources : of the whole design; LUTs are an upper bound, see `hwgen.build.xilinx_cells`
    cells : how many of each cell type, by name
    modules : resources of one instance of each module in `keep`, everything inside included
    netlist : the mapped Verilog netlist, for simulation after synthesis
    seconds : time synthesis took; 0 when the result came out of the cache
    """

    resources: Resources
    cells: dict[str, int]
    modules: dict[str, Resources]
    netlist: Path
    seconds: float


def synthesize(
    verilog_files: Sequence[Path],
    top: str,
    board: Board,
    work_dir: Path,
    *,
    keep: Sequence[str] = (),
    cache_dir: Path | None = None,
) -> SynthesisReport:
    """Map `verilog_files` to the board's device, out of context (no I/O pads), and count.

    Parameters
    ----------
    verilog_files : every source of the design; they read no other file
    top : the top module
    work_dir : receives `netlist.v`, `stat.json` and `yosys.log`
    keep : modules whose boundary survives, so that each is counted by itself; a network's layers
    cache_dir : results by content; default `$HWGEN_CACHE` or `~/.cache/hwgen`

    Raises
    ------
    ToolError
        When yosys fails, or leaves a cell that is no resource of the device.
    """
    begin = time.perf_counter()
    work_dir.mkdir(parents=True, exist_ok=True)
    entry = (cache_dir or cache_folder()) / "synthesis" / _key(verilog_files, top, board, keep)
    is_cached = all((entry / name).is_file() for name in _OUTPUTS)
    if is_cached:
        for name in _OUTPUTS:
            shutil.copyfile(entry / name, work_dir / name)
    else:
        log = run_yosys(_commands(verilog_files, top, board.family, keep, work_dir), cwd=work_dir)
        (work_dir / "yosys.log").write_text(log, encoding="utf-8")
    report = _read_report(work_dir, top, keep, 0.0 if is_cached else time.perf_counter() - begin)
    if not is_cached:
        _store(work_dir, entry)
    return report


def _commands(
    files: Sequence[Path], top: str, family: str, keep: Sequence[str], work_dir: Path
) -> list[str]:
    synth = f"synth_xilinx -top {top} -family {family} -noiopad -noclkbuf"
    return [
        *(f"read_verilog {quote_path(file)}" for file in files),
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in keep),
        f"hierarchy -top {top}",
        "proc",
        "opt_expr",
        "opt_clean",
        # Join sums of three numbers before anything looks through their sign extension.
        "select -set three w:*_pair %ci1 w:*_pair %co1 %u t:$add t:$sub %u %i",
        "alumacc @three",
        f"{synth} -run begin:map_dsp",
        # `(* use_dsp = "no" *)` on a module is Vivado's; yosys is told here, by the type that its
        # own DSP step leaves alone and turns back.
        "chtype -set $__soft_mul t:$mul A:use_dsp=no %i",
        f"{synth} -run map_dsp:map_memory",
        f"techmap -autoproc -map {quote_path(_ROM_LUTS)} {_IN_LUTS}",
        f"techmap -autoproc {' '.join(f'-map {quote_path(file)}' for file in ternary_maps())}",
        "flatten -noscopeinfo",
        "opt_clean",
        *_memories(family, work_dir),
        f"{synth} -run map_memory:check",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr netlist.v",
    ]


def ternary_maps() -> tuple[Path, Path]:
    """Return the techmap files that turn sums of three numbers into LUTs and carry chains."""
    primitive = data_folder("rtl_templates") / "primitives" / "ternary_adder.v"
    return _THREE_OPERAND_SUMS, primitive


def _memories(family: str, work_dir: Path) -> list[str]:
    """Return the commands that map memories for UltraScale, with a fault of yosys put right.

    Its description of a LUT RAM of 512 words with one port says 2**16, which the cells' own file
    then refuses. The command is the one that synth_xilinx runs.
    """
    if family not in ("xcu", "xcup"):
        return []
    # Found, not imported: the package is a large library that runs in a process of its own.
    package = find_spec("pyosys")
    if package is None or package.origin is None:
        raise ToolError("yosys: the Python package pyosys is missing; pip install pyosys")
    described = (Path(package.origin).parent / "share" / "xilinx" / _LUT_RAMS).read_text("utf-8")
    if _WRONG not in described:
        return []
    corrected = work_dir / _LUT_RAMS
    corrected.write_text(described.replace(_WRONG, _RIGHT), encoding="utf-8")
    maps = (
        f"-lib {quote_path(corrected)} -lib +/xilinx/brams_xc4v.txt -D HAS_SIZE_36 "
        "-D HAS_MIXWIDTH_SDP -D HAS_ADDRCE -lib +/xilinx/urams.txt"
    )
    return [
        f"memory_libmap -logic-cost-rom 0.015625 {maps} -no-auto-huge",
        "techmap -map +/xilinx/lutrams_xc5v_map.v",
    ]


def _key(files: Sequence[Path], top: str, board: Board, keep: Sequence[str]) -> str:
    digest = hashlib.sha256()
    fields = [str(_FLOW_REVISION), version("pyosys"), board.family, top, *keep]
    contents = [path.read_bytes() for path in files]
    for part in [*(field.encode() for field in fields), *contents]:
        # The length keeps "ab" + "c" apart from "a" + "bc".
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _read_report(work_dir: Path, top: str, keep: Sequence[str], seconds: float) -> SynthesisReport:
    try:
        stat = json.loads((work_dir / "stat.json").read_text(encoding="utf-8"))
        modules = {
            name.removeprefix("\\"): Counter[str](found["num_cells_by_type"])
            for name, found in stat["modules"].items()
        }
        cells = _with_submodules(top, modules)
    except (ValueError, KeyError) as error:
        raise ToolError(f"synthesis: {work_dir / 'stat.json'} is not a yosys report") from error
    return SynthesisReport(
        resources=resources_of_cells(cells),
        cells=dict(sorted(cells.items())),
        modules={
            name: resources_of_cells(_with_submodules(name, modules))
            for name in keep
            if name in modules
        },
        netlist=work_dir / "netlist.v",
        seconds=seconds,
    )


def _with_submodules(module: str, modules: Mapping[str, Counter[str]]) -> Counter[str]:
    """Return the cells of `module` and of everything instantiated in it."""
    total: Counter[str] = Counter()
    for cell, count in modules[module].items():
        inside = _with_submodules(cell, modules) if cell in modules else Counter({cell: 1})
        for name, each in inside.items():
            total[name] += each * count
    return total


def _store(work_dir: Path, entry: Path) -> None:
    """Put the outputs into the cache in one step, so that nobody reads half an entry."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=entry.parent))
        for name in _OUTPUTS:
            shutil.copyfile(work_dir / name, staging / name)
        try:
            staging.rename(entry)
        except OSError:  # another process was faster, with the same contents
            shutil.rmtree(staging)
    except OSError:
        # A cache that cannot be written (read-only home, full disk) costs time, nothing else.
        return
