"""Every error hwgen raises on purpose.

A message says what is wrong, where (node, operator, name in the source model), what was expected
and what came, and what to try. The command line turns these into one message and an exit code;
anything else that escapes is a bug in hwgen.
"""

from __future__ import annotations

from collections.abc import Sequence


class HwgenError(Exception):
    """Base of all errors a user can cause; `exit_code` is the command line's answer."""

    exit_code = 1


class NumericError(HwgenError):
    """A number format or cast that has no meaning."""


class AdderGraphError(HwgenError):
    """A matrix or an adder graph that has no exact meaning, or the two disagree."""


class ExportError(HwgenError):
    """A PyTorch model that cannot be written as an exact ONNX file."""


class FrontendError(HwgenError):
    """An ONNX file that cannot become an integer graph; lists every problem found at once.

    Parameters
    ----------
    problems : one line each: where, expected, got, what to try
    """

    def __init__(self, summary: str, problems: Sequence[str] = ()) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        lines = [summary, *(f"  - {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))


class IRError(HwgenError):
    """A graph or operator whose parts contradict each other."""


class PassError(HwgenError):
    """A pass whose precondition or promised result does not hold."""


class MappingError(HwgenError):
    """A network that cannot be folded onto the board."""


class BoardError(HwgenError):
    """An unknown board or a board file that does not describe one."""


class VerificationError(HwgenError):
    """Hardware and reference disagree, or the bench itself is not sound."""


class ToolError(HwgenError):
    """An external tool is missing or failed."""

    exit_code = 3
