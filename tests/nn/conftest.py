"""Without PyTorch these modules cannot even be imported: left out at home, an error in CI.

What is about GPUs has nothing to run on without one; no machine of CI has any.
"""

import importlib.util
import os

if importlib.util.find_spec("torch") is None and not os.environ.get("CI"):
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    if not torch.cuda.is_available():
        collect_ignore = ["test_cuda.py"]
