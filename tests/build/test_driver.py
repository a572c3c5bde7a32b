"""The PYNQ driver as rendered: packing against a loop over bits, and a run on a stand-in board."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.build.driver import DriverInfo, FrameFormat, write_driver
from hwgen.errors import ToolError
from hwgen.ir import Layout
from hwgen.numeric import CodeType
from hwgen.rtl.axi.registers import IDENTITY, OFFSETS, sha256_words

SHA256 = "0123456789abcdef" * 4


def load_driver(folder, input_format, output_format):
    path = write_driver(folder, DriverInfo("digits", input_format, output_format, SHA256))
    spec = importlib.util.spec_from_file_location("driver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@st.composite
def formats(draw):
    ends = sorted(draw(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=2)))
    codes = draw(st.sampled_from([CodeType(*ends), CodeType.binary(), CodeType(-8, 7)]))
    lanes, beats = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    tdata_bits = -(-lanes * codes.width // 8) * 8 + 8 * draw(st.integers(0, 2))
    return FrameFormat(codes, (beats, lanes), lanes, tdata_bits)


def naive_pack(frame, form):
    """A frame's bytes, bit by bit."""
    width = form.codes.width
    data = []
    for start in range(0, len(frame), form.lanes):
        beat = 0
        for lane, code in enumerate(frame[start : start + form.lanes]):
            word = (code + 1) // 2 if form.codes.bipolar else code
            for bit in range(width):
                beat |= ((word >> bit) & 1) << (lane * width + bit)
        data += beat.to_bytes(form.tdata_bits // 8, "little")
    return data


@given(form=formats(), data=st.data())
def test_packing_is_that_of_a_loop_over_bits(tmp_path_factory, form, data):
    driver = load_driver(tmp_path_factory.mktemp("d"), form, form)
    code = (
        st.sampled_from([-1, 1])
        if form.codes.bipolar
        else st.integers(form.codes.lo, form.codes.hi)
    )
    size = form.shape[0] * form.shape[1]
    frames = data.draw(st.lists(st.lists(code, min_size=size, max_size=size), max_size=3))
    codes = np.array(frames, dtype=np.int64).reshape(-1, *form.shape)
    packed = driver.INPUT.pack(codes)
    assert packed.tolist() == [naive_pack(frame, form) for frame in frames]
    assert driver.OUTPUT.unpack(packed).tolist() == codes.tolist()


class Board:
    """A DMA engine and registers behind which a function from codes to codes sits."""

    def __init__(self, network, formats, sha256=SHA256, identity=IDENTITY):
        self.network, (self.i, self.o) = network, formats
        words = sha256_words(bytes.fromhex(sha256))
        self.values = {OFFSETS[f"model_sha256_{k}"]: word for k, word in enumerate(words)}
        self.values |= {OFFSETS["identity"]: identity, OFFSETS["frames_in"]: 0}
        self.values |= {OFFSETS["cycles_low"]: 0x89ABCDEF, OFFSETS["cycles_high"]: 0x1234567}
        self.reads, self.writes, self.pending = [], [], None
        self.accelerator = SimpleNamespace(read=self.read, write=self.write)
        self.dma = SimpleNamespace(
            sendchannel=SimpleNamespace(transfer=self.send, wait=lambda: None),
            recvchannel=SimpleNamespace(transfer=self.receive, wait=lambda: None),
        )

    def read(self, offset):
        self.reads.append(offset)
        return self.values.get(offset, 0)

    def write(self, offset, value):
        self.writes.append((offset, value))

    def receive(self, buffer):
        assert self.pending is None
        self.pending = buffer

    def send(self, buffer):
        """As hardware: the receiving side must be ready first, and memory written back."""
        assert buffer.flushed
        assert len(buffer.data) == self.i.shape[0] // self.i.lanes * self.i.tdata_bits // 8
        frame = [self._code(buffer.data, k) for k in range(self.i.shape[0])]
        self.pending.data[:] = naive_pack(self.network(frame), self.o)
        self.pending.invalidated = False
        self.pending = None
        self.values[OFFSETS["frames_in"]] += 1

    def _code(self, data, index):
        beat, lane = divmod(index, self.i.lanes)
        size, width = self.i.tdata_bits // 8, self.i.codes.width
        word = int.from_bytes(bytes(data[beat * size :][:size]), "little") >> (lane * width)
        word &= (1 << width) - 1
        return word - (1 << width) if self.i.codes.lo < 0 and word >> (width - 1) else word


class Buffer:
    """Memory of `pynq.allocate`, with a cache that must be flushed and invalidated."""

    def __init__(self, shape, dtype):
        self.data = np.zeros(shape, dtype)
        self.flushed = self.invalidated = False

    def __setitem__(self, key, value):
        self.data[key] = value
        self.flushed = False

    def __array__(self, dtype=None, copy=None):
        assert self.invalidated
        return self.data

    def flush(self):
        self.flushed = True

    def invalidate(self):
        self.invalidated = True


INPUT = FrameFormat(CodeType(-32, 31), (12,), 4, 32)
OUTPUT = FrameFormat(CodeType(-500, 400), (3,), 1, 16)


def network(frame):
    return [sum(frame[0:4]), sum(frame[4:8]) - 7, -sum(frame[8:12])]


@pytest.fixture
def driver(tmp_path):
    return load_driver(tmp_path, INPUT, OUTPUT)


@pytest.fixture
def board():
    return Board(network, (INPUT, OUTPUT))


def test_run(driver, board, rng):
    codes = rng.integers(-32, 32, size=(7, 12))
    accelerator = driver.Accelerator(board, Buffer)
    assert accelerator.run(codes).tolist() == [network(frame) for frame in codes.tolist()]
    assert accelerator.counters()["frames_in"] == 7


def test_no_frames(driver, board):
    accelerator = driver.Accelerator(board, Buffer)
    assert accelerator.run(np.zeros((0, 12), dtype=np.int64)).shape == (0, 3)


def test_wide_counters_read_low_first(driver, board):
    accelerator = driver.Accelerator(board, Buffer)
    board.reads.clear()
    assert accelerator.counters()["cycles"] == 0x0123456789ABCDEF
    low, high = (board.reads.index(OFFSETS[f"cycles_{half}"]) for half in ("low", "high"))
    assert high == low + 1


def test_reset(driver, board):
    driver.Accelerator(board, Buffer).reset()
    assert board.writes == [(OFFSETS["control"], 1)]


def test_other_model_in_the_device(driver):
    board = Board(network, (INPUT, OUTPUT), sha256="f" * 64)
    with pytest.raises(driver.AcceleratorError, match=f"holds model {'f' * 64}, .* for {SHA256}"):
        driver.Accelerator(board, Buffer)


def test_something_else_in_the_device(driver):
    with pytest.raises(driver.AcceleratorError, match="no design made by hwgen"):
        driver.Accelerator(Board(network, (INPUT, OUTPUT), identity=0), Buffer)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 11), np.int64), r"shape \(2, 11\), expected"),
        (np.int64(3), r"shape \(\), expected"),
        (np.zeros((2, 12)), "are float64, expected integers"),
        (np.full((1, 12), 32), r"code 32 is not one of -32\.\.31"),
        (np.full((1, 12), -33), r"code -33 is not one of"),
    ],
)
def test_wrong_codes(driver, board, codes, message):
    with pytest.raises(ValueError, match=message):
        driver.Accelerator(board, Buffer).run(codes)


def test_zero_is_not_bipolar(tmp_path):
    form = FrameFormat(CodeType.binary(), (4,), 4, 8)
    with pytest.raises(ValueError, match="code 0 is not one of -1 and 1"):
        load_driver(tmp_path, form, form).INPUT.pack(np.array([[1, -1, 0, 1]]))


def test_same_bytes_every_time(tmp_path):
    info = DriverInfo("digits", INPUT, OUTPUT, SHA256)
    one, two = (write_driver(tmp_path / name, info).read_bytes() for name in "ab")
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CodeType(0, 3), (10,), 4, 8), "4 lanes do not divide a frame of 10 codes"),
        (
            (CodeType(0, 3), (8,), 8, 8),
            r"8 bits, expected a multiple of 8 and at least 16 \(8 lanes",
        ),
        ((CodeType(0, 3), (8,), 1, 12), "12 bits, expected a multiple of 8"),
    ],
)
def test_format_that_makes_no_sense(arguments, message):
    with pytest.raises(ToolError, match=message):
        FrameFormat(*arguments)


def test_hash_must_be_one():
    with pytest.raises(ToolError, match="is not a SHA-256"):
        DriverInfo("digits", INPUT, OUTPUT, '"; import os')


def test_images_are_shaped_as_in_the_model_and_stream_channels_last(tmp_path):
    codes = CodeType(0, 255)
    streamed = FrameFormat(codes, (2, 4, 3), 3, 24, Layout((3, 2, 4), (3, 8), (1, 0)))
    driver = load_driver(tmp_path, streamed, streamed)
    frames = np.arange(48).reshape(2, 3, 2, 4)
    packed = driver.INPUT.pack(frames)
    assert packed.tolist() == frames.transpose(0, 2, 3, 1).reshape(2, -1).tolist()
    assert driver.OUTPUT.unpack(packed).tolist() == frames.tolist()
    with pytest.raises(ValueError, match=r"shape \(2, 2, 4, 3\), expected \(N, \(3, 2, 4\)\)"):
        driver.INPUT.pack(frames.transpose(0, 2, 3, 1))


def test_one_index_a_frame(tmp_path):
    index = FrameFormat(CodeType(0, 9), (1,), 1, 8, Layout((), (1,), (0,)))
    driver = load_driver(tmp_path, index, index)
    assert driver.OUTPUT.unpack(driver.INPUT.pack(np.array([7, 0, 9]))).tolist() == [7, 0, 9]
