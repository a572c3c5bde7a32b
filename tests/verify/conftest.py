"""One compiled model for all faults: plusargs choose between them."""

import pytest

from tests.verify.designs import folded_graph, make_build, plant_faults


@pytest.fixture(scope="session")
def faulty_build(tmp_path_factory):
    """A build directory whose faults sleep."""
    out = tmp_path_factory.mktemp("verify") / "folded"
    make_build(out, folded_graph())
    plant_faults(out / "rtl")
    return out
