"""The register map behind the AXI4-Lite port, for hardware, bench, drivers and documents.

Words are 32 bits at byte offsets that are multiples of 4, in a window of 4 KiB. A read of an
offset that is not in the table, and a write to a read-only one, is answered SLVERR and has no
effect. Counters count from the last reset, hard or soft.

A 64-bit counter is two words. Reading its low word takes a copy of its high word, and reading the
high word returns that copy: low first, then high, gives one consistent number. There is one copy
for all counters, so do not read another counter's low word in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from hwgen.errors import MappingError

ADDRESS_BITS = 12
IDENTITY = int.from_bytes(b"HWGN", "little")
CONTROL_SOFT_RESET = 1 << 0
STATUS_BUSY = 1 << 0
STATUS_TLAST_ERROR = 1 << 1


class Access(Enum):
    """What the bus may do with a register."""

    READ_ONLY = "ro"
    READ_WRITE = "rw"


@dataclass(frozen=True)
class Register:
    """One 32-bit word.

    Parameters
    ----------
    name : identifier
    offset : in bytes from the base address
    access : whether it can be written
    reset : value after reset; for identity, version and hash, which never change, None
    meaning : one sentence for people
    """

    name: str
    offset: int
    access: Access
    reset: int | None
    meaning: str


def _read_only(name: str, offset: int, meaning: str, reset: int | None = 0) -> Register:
    return Register(name, offset, Access.READ_ONLY, reset, meaning)


REGISTERS: tuple[Register, ...] = (
    _read_only("identity", 0x00, "the bytes 'HWGN', lowest first", IDENTITY),
    _read_only("version", 0x04, "of hwgen: major << 16 | minor << 8 | patch", None),
    Register(
        "control",
        0x08,
        Access.READ_WRITE,
        0,
        "writing 1 to bit 0 resets datapath and counters for one cycle; reads as 0",
    ),
    _read_only(
        "status",
        0x0C,
        "bit 0: a frame is inside; bit 1: TLAST was early or missing since the last reset",
    ),
    *(
        _read_only(
            f"model_sha256_{k}",
            0x10 + 4 * k,
            f"hexadecimal digits {8 * k}..{8 * k + 7} of the model file's SHA-256",
            None,
        )
        for k in range(8)
    ),
    _read_only("frames_in", 0x30, "frames taken completely, modulo 2**32"),
    _read_only("frames_out", 0x34, "frames given completely, modulo 2**32"),
    _read_only("cycles_low", 0x38, "clock cycles with a frame inside, bits 31..0"),
    _read_only("cycles_high", 0x3C, "the same, bits 63..32, as of the last low read"),
    _read_only("input_stall_cycles_low", 0x40, "cycles with s_axis_tvalid and not s_axis_tready"),
    _read_only("input_stall_cycles_high", 0x44, "the same, bits 63..32, as of the last low read"),
    _read_only("output_stall_cycles_low", 0x48, "cycles with m_axis_tvalid and not m_axis_tready"),
    _read_only("output_stall_cycles_high", 0x4C, "the same, bits 63..32, as of the last low read"),
    _read_only("tlast_errors", 0x50, "frames whose TLAST was early or missing; stops at 2**32 - 1"),
)

OFFSETS: dict[str, int] = {register.name: register.offset for register in REGISTERS}


def version_word(version: str) -> int:
    """Return the `version` register's value.

    Parameters
    ----------
    version : 'major.minor.patch', anything behind it is dropped

    Examples
    --------
    >>> hex(version_word("1.2.3"))
    '0x10203'
    """
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise MappingError(f"version is {version!r}, expected major.minor.patch")
    major, minor, patch = (int(digits) for digits in match.groups())
    if not (major < 1 << 16 and minor < 256 and patch < 256):
        raise MappingError(f"version {version!r} does not fit 16 + 8 + 8 bits")
    return major << 16 | minor << 8 | patch


def sha256_words(digest: bytes) -> tuple[int, ...]:
    """Return the eight `model_sha256` words: printed with %08x one after the other, the digest."""
    if len(digest) != 32:
        raise MappingError(f"model hash has {len(digest)} bytes, a SHA-256 has 32")
    return tuple(int.from_bytes(digest[k : k + 4], "big") for k in range(0, 32, 4))
