"""What written memories cost, against what yosys made of them for an UltraScale+ device."""

import pytest

from hwgen.cost import Resources
from hwgen.rtl.memory import lut_ram_luts, ram_resources, ram_style

# Words, bits, LUTs with ram_style = "distributed".
IN_LUTS = (
    (32, 48, 32),
    (60, 48, 56),
    (90, 32, 107),
    (100, 10, 44),
    (123, 64, 226),
    (200, 16, 116),
    (256, 32, 196),
    (512, 8, 160),
    (90, 512, 1403),
)
# Words, bits, 36-Kbit block RAMs with "block".
IN_BLOCKS = ((90, 32, 0.5), (123, 64, 1), (200, 16, 0.5), (512, 8, 0.5), (672, 24, 1))


@pytest.mark.parametrize(("depth", "width", "luts"), IN_LUTS)
def test_luts(depth, width, luts):
    assert lut_ram_luts(depth, width) == pytest.approx(luts, rel=0.15)


@pytest.mark.parametrize(("depth", "width", "bram36"), IN_BLOCKS)
def test_block_ram(depth, width, bram36):
    assert ram_style(depth, width) == "block"
    assert ram_resources(depth, width).as_dict() == {
        "lut": 0,
        "ff": 0,
        "dsp": 0,
        "bram36": bram36,
        "uram": 0,
    }


@pytest.mark.parametrize(("depth", "width"), [(32, 48), (64, 7), (100, 10), (90, 512)])
def test_lut_ram_is_the_smaller_share(depth, width):
    assert ram_style(depth, width) == "distributed"
    luts = lut_ram_luts(depth, width)
    assert ram_resources(depth, width).as_dict() == {
        "lut": luts,
        "ff": width,
        "dsp": 0,
        "bram36": 0,
        "uram": 0,
    }


def test_one_word_is_a_register():
    assert ram_resources(1, 7).as_dict() == {"lut": 0, "ff": 7, "dsp": 0, "bram36": 0, "uram": 0}


def test_ultra_ram_only_where_there_is_some_and_it_is_the_smaller_share():
    for depth, width, style in (
        (512, 8, "block"),
        (2048, 36, "block"),  # 4 halves, one URAM
        (4096, 72, "ultra"),
        (4097, 72, "ultra"),
        (8192, 72, "ultra"),
        (512, 216, "block"),  # 6 halves, three URAMs
        (512, 72, "block"),
        (32, 48, "distributed"),
    ):
        assert ram_style(depth, width, ultra=True) == style
        assert ram_style(depth, width) != "ultra"
    assert ram_resources(4097, 73, ultra=True) == Resources(uram=4)
    assert ram_resources(4097, 73).uram == 0
