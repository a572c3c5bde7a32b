"""Every board file plans; every mistake in one is named, with what to try."""

import re

import pytest

from hwgen.board import Board, list_boards, load_board
from hwgen.build.vivado import DesignInfo, write_vivado_project
from hwgen.cost import Resources
from hwgen.errors import BoardError, MappingError
from hwgen.resources import data_folder

BOARDS = list_boards()
ULTRA96 = (data_folder("boards") / "ultra96.toml").read_text()


@pytest.fixture
def load(tmp_path):
    def load(text, name="ultra96"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return load_board(path)

    return load


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_plans(name, tmp_path):
    board = load_board(name)
    assert board.name == name
    board.check_clock(board.default_clock_mhz)
    assert Resources(lut=1000, ff=1000, dsp=1, bram36=1).fits(board.resources)
    source = tmp_path / "rtl" / "plan.v"
    source.parent.mkdir()
    source.write_text("module plan; endmodule\n")
    design = DesignInfo("plan", (source,), s_axis_tdata_bits=32, m_axis_tdata_bits=8)
    project = write_vivado_project(tmp_path, board, design, board.default_clock_mhz)
    assert board.part in project.read_text()


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_cites_its_data_sheet(name):
    assert re.search(
        r"^# Resources: \w+", (data_folder("boards") / f"{name}.toml").read_text(), re.M
    )


def test_ultra96():
    board = load_board("ultra96")
    assert board.part == "xczu3eg-sbva484-1-i"
    assert board.family == "xcup"
    assert board.resources == Resources(lut=70560, ff=141120, dsp=360, bram36=216)


def test_ultra_ram_is_an_optional_key(load):
    assert load_board("kv260").resources.uram == 64
    assert load_board("ultra96").resources.uram == 0
    with pytest.raises(BoardError, match=r"resources.uram: is -1, expected a whole number"):
        load(ULTRA96.replace("bram36 = 216", "bram36 = 216\nuram = -1"))


def test_own_file_by_path(load):
    assert load(ULTRA96.replace('"ultra96"', '"mine"'), name="mine").name == "mine"


def test_unknown_board_suggests_a_near_one():
    with pytest.raises(
        BoardError, match=r"no board is called 'ultra69' \(did you mean 'ultra96'\?\)"
    ):
        load_board("ultra69")


@pytest.mark.parametrize("name", ["../boards/ultra96", "", "/etc/passwd", "."])
def test_a_name_is_not_a_path(name):
    with pytest.raises(BoardError, match="no board is called"):
        load_board(name)


def test_missing_file():
    with pytest.raises(BoardError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_board("nowhere.toml")


@pytest.mark.parametrize("text", ["name = ", "\udc80"])
def test_not_toml(text, tmp_path):
    (tmp_path / "bad.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BoardError, match=r"bad\.toml: is not TOML"):
        load_board(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'family = "xcup"',
            'family = "xcu"',
            "family: is 'xcu' (did you mean 'xcup'?), expected one",
        ),
        ("lut = 70_560", "luts = 70_560", "resources.luts: is not a key of a board file (did you"),
        ("lut = 70_560", "luts = 70_560", "resources.lut: is missing"),
        ("lut = 70_560", "lut = 70.5", "resources.lut: is 70.5, expected a whole number"),
        ("lut = 70_560", "lut = -1", "resources.lut: is -1, expected a whole number"),
        ("lut = 70_560", "lut = true", "resources.lut: is True, expected a whole number"),
        ("default_mhz = 150", "default_mhz = nan", "clock.default_mhz: is nan, expected a number"),
        ("default_mhz = 150", "default_mhz = 0", "clock.default_mhz: is 0, expected a number"),
        ("default_mhz = 150", "default_mhz = 301", "clock.default_mhz: is above clock.maximum"),
        ('"ultra96"', '"other"', "name: is 'other', expected the file's own, 'ultra96'"),
        ('"ultra96"', '"Ultra 96"', "name: is 'Ultra 96', expected lower-case letters"),
        ("xczu3eg-sbva484-1-i", "x; exec rm", "part: is 'x; exec rm', expected the vendor's"),
        ("[host]", "[hosts]", "host: is missing"),
        ("[host]", "[hosts]", "hosts: is not a key of a board file (did you mean 'host'?)"),
        ('link = "axi_dma"', 'link = "uart"', "host.link: is 'uart', expected one of axi_dma"),
        ("*avnet.com:ultra96v2:part0:*", "a]b", "vivado.board_part: is 'a]b', expected like"),
    ],
)
def test_mistakes(load, old, new, problem):
    assert old in ULTRA96
    with pytest.raises(BoardError) as caught:
        load(ULTRA96.replace(old, new))
    assert f"\n  - {problem}" in str(caught.value)


def test_all_mistakes_are_listed_at_once(load):
    with pytest.raises(BoardError) as caught:
        load('name = "ultra96"\nflow = "vivid"\nresources = 3\n[clock]\ndefault_mhz = "fast"\n')
    for word in ("title", "part", "family", "flow", "resources", "default_mhz", "host", "vivado"):
        assert f"{word}: is " in str(caught.value)


def test_clock_beyond_the_board():
    board = load_board("ultra96")
    assert isinstance(board, Board)
    with pytest.raises(BoardError, match=r"500 MHz was asked for, the board takes up to 300"):
        board.check_clock(500)


class TestResources:
    def test_arithmetic(self):
        one = Resources(lut=1, ff=2, dsp=3, bram36=0.5)
        assert one + one == 2 * one == Resources(2, 4, 6, 1)
        assert sum([one, one, one], Resources()) == one * 3 == sum([one, one, one])

    def test_exceeds_names_each_shortage(self):
        needed = Resources(lut=101, ff=7, dsp=5, bram36=2.5)
        budget = Resources(lut=100, ff=7, dsp=4, bram36=3)
        assert needed.exceeds(budget) == [
            "101 LUTs needed, 100 available",
            "5 DSP slices needed, 4 available",
        ]
        assert not needed.fits(budget)
        assert budget.fits(budget)

    @pytest.mark.parametrize("count", [-1, float("nan")])
    def test_counts_are_not_negative(self, count):
        with pytest.raises(MappingError, match="expected zero or more"):
            Resources(ff=count)
