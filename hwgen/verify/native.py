"""`simulate`: the Verilog of a build at the speed of compiled code, for whole test sets.

Frames go through a pipe to the Verilated model and its C++ harness (`rtl_templates/native`), back
to back and never stalled, and codes come back through another; no Python runs per cycle. The
cocotb bench of `regression` stays the judge of stalls, resets and protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Self, cast

import numpy as np

from hwgen.errors import ToolError, VerificationError
from hwgen.ir import Codes
from hwgen.verify.native_model import NativeModel
from hwgen.verify.native_packing import pack_octets, padding_is_zero, unpack_octets

_READ_BYTES = 1 << 20
_LOG_LINES = 15
# Besides multiples of what the manifest promises.
_PATIENCE_CYCLES = 1000
_QUIET_CYCLES = 20


@dataclass(frozen=True)
class NativeRun:
    """What one run of the compiled model took.

    Parameters
    ----------
    frames : in, and out again
    cycles : of the clock, reset not counted
    seconds : from the first frame's way in to the last one's way out
    simulation_seconds : of these, in the model; the rest is packing and waiting
    measured_interval_cycles : between frames once the pipeline is full; None for too few frames
    """

    frames: int
    cycles: int
    seconds: float
    simulation_seconds: float
    measured_interval_cycles: float | None

    def as_dict(self) -> dict[str, object]:
        """Return everything, and the rates, ready for JSON."""
        rate = self.frames / self.seconds if self.seconds else 0.0
        cycle_rate = self.cycles / self.simulation_seconds if self.simulation_seconds else 0.0
        return {
            "frames": self.frames,
            "cycles": self.cycles,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(rate, 1),
            "cycles_per_second": round(cycle_rate, 1),
            "measured_interval_cycles": self.measured_interval_cycles,
        }


def simulate(
    model: NativeModel,
    frames: Iterable[Codes],
    take: Callable[[Codes], None],
    plusargs: Sequence[str] = (),
) -> NativeRun:
    """Stream `frames` through the model.

    Parameters
    ----------
    frames : input codes, int64 [some frames, ...], chunk by chunk; only a few are held at a time
    take : called with output codes, int64 [some frames, *output shape], in the order of the frames
    plusargs : for `$test$plusargs` in the Verilog

    Raises
    ------
    VerificationError : when the design breaks its promises: TLAST, number of beats, standstill
    ToolError : when the compiled model cannot be started
    """
    start = time.perf_counter()
    sent = 0
    with _running(model, plusargs) as child:
        stdin, stderr = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stderr)
        with _Outputs(model, child, take) as outputs:
            # A model that stops early closes the pipe; its last words say why.
            with contextlib.suppress(BrokenPipeError):
                for chunk in frames:
                    sent += len(chunk)
                    stdin.write(pack_octets(model.inputs, chunk).tobytes())
                    outputs.deliver()
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
            outputs.deliver_rest()
        words = stderr.read().decode(errors="replace")
        code = child.wait()
    counts = _last_words(model, code, words)
    if counts.fault or not counts.frames_in == counts.frames_out == outputs.frames == sent:
        where = f"output frame {counts.frames_out}, beat {counts.beat}, cycle {counts.cycles}"
        what = counts.fault or f"{counts.frames_out} frames came out of {sent}"
        raise VerificationError(f"{model.program.parents[2].name}: {what}, at {where}")
    return NativeRun(
        frames=sent,
        cycles=counts.cycles,
        seconds=time.perf_counter() - start,
        simulation_seconds=counts.seconds,
        measured_interval_cycles=_interval(model, counts),
    )


class _Outputs:
    """Collects bytes in a thread, so that the model never waits; hands out whole frames."""

    def __init__(
        self, model: NativeModel, child: subprocess.Popen[bytes], take: Callable[[Codes], None]
    ) -> None:
        self.model, self.child, self.take = model, child, take
        self.frames = 0
        self.frame_bytes = model.output_beats * (model.outputs.tdata_bits // 8)
        self.rest = b""
        self.arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self.reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None:
            self.child.kill()  # else the reader would wait for ever
        self.reader.join()

    def _read(self) -> None:
        descriptor = cast(IO[bytes], self.child.stdout).fileno()
        while octets := os.read(descriptor, _READ_BYTES):
            self.arrived.put(octets)
        self.arrived.put(b"")

    def deliver(self) -> None:
        """Hand out what has arrived."""
        parts = [self.rest]
        while not self.arrived.empty():
            parts.append(self.arrived.get())
        self._hand_out(b"".join(parts))
        if len(parts) > 1 and not parts[-1]:
            self.arrived.put(b"")  # the end stays in the queue for deliver_rest

    def deliver_rest(self) -> None:
        """Hand out everything up to the end."""
        while octets := self.arrived.get():
            self._hand_out(self.rest + octets)

    def _hand_out(self, octets: bytes) -> None:
        count = len(octets) // self.frame_bytes
        self.rest = octets[count * self.frame_bytes :]
        if not count:
            return
        whole = np.frombuffer(octets, dtype=np.uint8, count=count * self.frame_bytes)
        beats = whole.reshape(count, self.model.output_beats, -1)
        if not padding_is_zero(self.model.outputs, beats):
            raise VerificationError(
                f"{self.model.program.parents[2].name}: bits of TDATA above the codes are not "
                f"zero in output frames {self.frames}..{self.frames + count - 1}"
            )
        codes = unpack_octets(self.model.outputs, beats)
        self.frames += count
        self.take(codes.reshape(count, *self.model.output_shape))


@contextlib.contextmanager
def _running(model: NativeModel, plusargs: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Give the model's process, all three streams pipes; it never outlives the block."""
    promised = model.interval_cycles + model.latency_cycles
    numbers = (
        model.input_beats,
        model.inputs.tdata_bits // 8,
        model.output_beats,
        model.outputs.tdata_bits // 8,
        _PATIENCE_CYCLES + 4 * promised,
        _QUIET_CYCLES + 2 * model.latency_cycles,
        model.warm_up_frames,
    )
    pipe = subprocess.PIPE
    command = [str(model.program), *map(str, numbers), *plusargs]
    try:
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise ToolError(
            f"{model.program}: cannot be started: {error.strerror}; remove the folder "
            f"{model.program.parents[1]} and run again"
        ) from error
    try:
        yield child
    finally:
        child.kill()
        with contextlib.suppress(BrokenPipeError):  # what could not be sent any more
            cast(IO[bytes], child.stdin).close()
        child.__exit__(None, None, None)


@dataclass(frozen=True)
class _Counts:
    """The harness's last line."""

    fault: str
    frames_in: int
    frames_out: int
    beat: int
    cycles: int
    cycle_warm: int
    cycle_last: int
    seconds: float


def _last_words(model: NativeModel, code: int, words: str) -> _Counts:
    lines = words.strip().splitlines()
    try:
        return _Counts(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError) as error:
        raise VerificationError(
            f"the simulation of {model.program.parents[2].name} ended with exit code {code} and "
            "without results" + "".join(f"\n  {line[:200]}" for line in lines[-_LOG_LINES:])
        ) from error


def _interval(model: NativeModel, counts: _Counts) -> float | None:
    """Cycles between two frames, over all after the pipeline was full."""
    frames = counts.frames_out - model.warm_up_frames
    if frames < 1:
        return None
    interval = (counts.cycle_last - counts.cycle_warm) / frames
    return int(interval) if interval.is_integer() else interval
