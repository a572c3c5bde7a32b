"""`hwgen boards`: the boards that come with hwgen."""

from __future__ import annotations

from typing import Any

from hwgen.board import list_boards, load_board


def board_rows() -> list[dict[str, Any]]:
    """Return a row a board."""
    rows = []
    for name in list_boards():
        board = load_board(name)
        rows.append(
            {
                "name": board.name,
                "title": board.title,
                "part": board.part,
                **board.resources.as_dict(),
                "clock_mhz": board.default_clock_mhz,
                "flow": board.flow,
            }
        )
    return rows
