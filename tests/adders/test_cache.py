"""Solved once; a damaged entry is solved again."""

import json

import numpy as np
import pytest

from hwgen.adders import SolveOptions, cache, cached_solve, solve
from hwgen.numeric import CodeType

INPUTS = (CodeType(-8, 7),) * 4
MATRIX = np.array([[3, -5, 0, 7], [1, 2, 3, 4], [0, 0, 0, 0]])


@pytest.fixture
def forgetful(monkeypatch):
    """Forget what this process has solved."""
    monkeypatch.setattr(cache, "_solved", {})
    return lambda: monkeypatch.setattr(cache, "_solved", {})


@pytest.mark.parametrize("operands", [2, 3])
def test_the_second_time_comes_from_the_disk(tmp_path, forgetful, monkeypatch, operands):
    options = SolveOptions(operands=operands)
    first = cached_solve(MATRIX, INPUTS, options, cache_dir=tmp_path)
    forgetful()
    monkeypatch.setattr(cache, "solve", None)
    assert cached_solve(MATRIX, INPUTS, options, cache_dir=tmp_path) == first
    assert first == solve(MATRIX, INPUTS, options)


def test_another_question_is_another_entry(tmp_path, forgetful):
    for matrix, inputs, options in (
        (MATRIX, INPUTS, None),
        (-MATRIX, INPUTS, None),
        (MATRIX, (CodeType(0, 7),) * 4, None),
        (MATRIX, INPUTS, SolveOptions(seed=2)),
        (MATRIX, INPUTS, SolveOptions(operands=3)),
    ):
        cached_solve(matrix, inputs, options, cache_dir=tmp_path)
    assert len(list((tmp_path / "adders").glob("*.json"))) == 5


@pytest.mark.parametrize("damage", ["", "{", '{"adders": [], "outputs": []}', '{"adders": [[1]]}'])
def test_a_damaged_entry_is_replaced(tmp_path, forgetful, damage):
    first = cached_solve(MATRIX, INPUTS, cache_dir=tmp_path)
    (entry,) = (tmp_path / "adders").glob("*.json")
    entry.write_text(damage)
    forgetful()
    assert cached_solve(MATRIX, INPUTS, cache_dir=tmp_path) == first
    assert len(json.loads(entry.read_text())["adders"]) == len(first.adders)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, forgetful):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert cached_solve(MATRIX, INPUTS, cache_dir=blocked) == solve(MATRIX, INPUTS)
