"""`write_driver`: a PYNQ driver in one Python file, which knows the design's streams and registers.

The file stands alone: a board needs numpy and pynq, not hwgen.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from hwgen.build.templates import check_identifier, render
from hwgen.errors import ToolError
from hwgen.ir import Layout
from hwgen.numeric import CodeType
from hwgen.rtl.axi.registers import IDENTITY, REGISTERS


@dataclass(frozen=True)
class FrameFormat:
    """One end of the accelerator: what a frame is and how it lies in the beats of the stream.

    Parameters
    ----------
    codes : the type of each code
    shape : of one frame as it streams
    lanes : codes in a beat; divides the number of codes in a frame
    tdata_bits : width of TDATA, a multiple of 8
    layout : how a frame of the model lies in the stream; None where it is shaped as it streams
    """

    codes: CodeType
    shape: tuple[int, ...]
    lanes: int
    tdata_bits: int
    layout: Layout | None = None

    @property
    def streamed(self) -> Layout:
        """The layout; where none is needed, one that changes nothing."""
        size = math.prod(self.shape)
        return self.layout or Layout(self.shape, (size,), (0,))

    def __post_init__(self) -> None:
        size = math.prod(self.shape)
        if self.lanes < 1 or size % self.lanes:
            raise ToolError(f"driver: {self.lanes} lanes do not divide a frame of {size} codes")
        needed = self.lanes * self.codes.width
        if self.tdata_bits % 8 or self.tdata_bits < needed:
            raise ToolError(
                f"driver: TDATA has {self.tdata_bits} bits, expected a multiple of 8 and at least "
                f"{needed} ({self.lanes} lanes of {self.codes.width} bits)"
            )


@dataclass(frozen=True)
class DriverInfo:
    """What the driver must know: the design's name, both its streams, the model it computes."""

    top: str
    input: FrameFormat
    output: FrameFormat
    model_sha256: str

    def __post_init__(self) -> None:
        check_identifier(self.top, "the top module's name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.model_sha256):
            raise ToolError(f"driver: {self.model_sha256!r} is not a SHA-256 in hexadecimal")


def write_driver(out_dir: Path, info: DriverInfo) -> Path:
    """Write `out_dir`/driver.py and return its path."""
    text = render("driver/driver.py.j2", info=info, identity=IDENTITY, registers=REGISTERS)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "driver.py"
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
