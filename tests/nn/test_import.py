"""Without PyTorch the package says which extra to install."""

import importlib
import sys

import pytest

from hwgen.errors import ToolError

pytestmark = pytest.mark.torch


def test_missing_torch_names_the_extra(monkeypatch):
    import hwgen.nn

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match=r"needs PyTorch.*pip install 'hwgen\[train\]'"):
        importlib.reload(hwgen.nn)
