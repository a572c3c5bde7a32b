"""Without PyTorch these modules cannot even be imported: left out at home, an error in CI."""

import importlib.util
import os

if importlib.util.find_spec("torch") is None and not os.environ.get("CI"):
    collect_ignore_glob = ["test_*.py"]
