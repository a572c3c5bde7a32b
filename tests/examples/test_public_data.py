"""Each reader gives back what was written in the publisher's format, and refuses what is not it."""

import gzip
import os
import pickle
import re

import numpy as np
import pytest

pytestmark = pytest.mark.torch  # the examples' modules import it


@pytest.fixture
def public_data(example):
    return example("public_data")


def cifar_batches(rng):
    """Six batches of seven images, as (N, 3072) rows and labels."""
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    return {
        name: (rng.integers(0, 256, (7, 3072), dtype=np.uint8), rng.integers(0, 10, 7))
        for name in names
    }


def write_pickles(folder, batches):
    folder.mkdir()
    for name, (rows, labels) in batches.items():
        batch = {b"data": rows, b"labels": labels.tolist(), b"batch_label": b"of six"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def test_the_three_forms_of_cifar10_are_the_same(public_data, rng, tmp_path):
    batches = cifar_batches(rng)
    rows = np.concatenate([batch[0] for batch in batches.values()])
    labels = np.concatenate([batch[1] for batch in batches.values()])
    images = rows.reshape(-1, 3, 32, 32)

    python, binary, arrays = (tmp_path / name for name in ("python", "binary", "arrays"))
    for folder in (python, binary, arrays):
        folder.mkdir()
    write_pickles(python / "cifar-10-batches-py", batches)
    (binary / "cifar-10-batches-bin").mkdir()
    for name, (part, wanted) in batches.items():
        records = np.concatenate([wanted[:, None].astype(np.uint8), part], axis=1)
        (binary / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records.tobytes())
    last = images.transpose(0, 2, 3, 1)
    np.savez(
        arrays / "cifar10.npz",
        x_train=last[:35],
        y_train=labels[:35, None],
        x_test=last[35:],
        y_test=labels[35:, None],
    )
    for folder in (python, binary, arrays, python / "cifar-10-batches-py"):
        data = public_data.load_cifar10(folder)
        assert np.array_equal(data.train, images[:35])
        assert np.array_equal(data.test, images[35:])
        assert np.array_equal(data.train_labels, labels[:35])
        assert np.array_equal(data.test_labels, labels[35:])
        assert data.train.dtype == np.uint8


class _Command:
    def __reduce__(self):
        return os.system, ("echo this must not run",)


def test_a_pickle_that_runs_a_command_is_refused(public_data, rng, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write_pickles(folder, cifar_batches(rng))
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": _Command()}))
    with pytest.raises(public_data.DataError, match=r"asks for (posix|nt)\.system"):
        public_data.load_cifar10(tmp_path)


def idx(array):
    """Return an array as an idx file: type, axes, sizes, numbers."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(public_data, rng, tmp_path, zipped):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = rng.integers(0, 256, (9, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 9, dtype=np.uint8)
    files = {
        "train-images-idx3-ubyte": images[:6],
        "train-labels-idx1-ubyte": labels[:6],
        "t10k-images-idx3-ubyte": images[6:],
        "t10k-labels-idx1-ubyte": labels[6:],
    }
    for name, array in files.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    for place in (tmp_path, folder):
        data = public_data.load_mnist(place)
        assert np.array_equal(data.train, images[:6])
        assert np.array_equal(data.test, images[6:])
        assert np.array_equal(data.train_labels, labels[:6])
        assert np.array_equal(data.test_labels, labels[6:])


def format_212(first, second):
    """Return two leads of 12-bit numbers as PhysioNet packs them, three bytes a pair."""
    blob = bytearray()
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        blob += bytes([a & 0xFF, (a >> 8 & 0xF) | (b >> 8 & 0xF) << 4, b & 0xFF])
    return bytes(blob)


def annotations(beats):
    """Return (sample, code) in MIT format, with what else such files hold in between."""
    words, now = [22 << 10, 63 << 10 | 3, 0x4E28, 0x0000], 0  # a rhythm change with a text
    for sample, code in beats:
        step, now = sample - now, sample
        if step > 1023:
            words += [59 << 10, step >> 16, step & 0xFFFF]
            step = 0
        words += [code << 10 | step, 61 << 10 | 1]  # and a subtype of it
    return np.array([*words, 0], dtype="<u2").tobytes()


def test_mitbih_records(public_data, rng, tmp_path):
    codes = {1: "N", 5: "V", 8: "S", 12: "Q", 6: "F"}
    written = {}
    for record in ("100", "207"):
        first, second = rng.integers(-2048, 2048, (2, 20000))
        places = [20, *range(400, 19000, 1500), 19990]  # the first and last have no whole window
        kinds = rng.choice(list(codes), len(places)).tolist()
        (tmp_path / f"{record}.dat").write_bytes(format_212(first, second))
        (tmp_path / f"{record}.atr").write_bytes(
            annotations([*zip(places, kinds, strict=True), (19995, 28)])
        )
        halved = (first.reshape(-1, 2).sum(axis=1) / 2).astype(np.int16)
        written[record] = [
            (halved[place // 2 - 45 : place // 2 + 83], codes[kind])
            for place, kind in zip(places[1:-1], kinds[1:-1], strict=True)
        ]
    classes = ("N", "S", "V", "Q")
    data = public_data.load_mitbih(tmp_path, classes)
    train, test = [], []
    for beats in written.values():
        kept = [(beat, classes.index(name)) for beat, name in beats if name != "F"]
        cut = len(kept) * 4 // 5
        train += kept[:cut]
        test += kept[cut:]
    for got, labels, wanted in (
        (data.train, data.train_labels, train),
        (data.test, data.test_labels, test),
    ):
        assert np.array_equal(got, np.array([beat for beat, _ in wanted]))
        assert labels.tolist() == [label for _, label in wanted]


@pytest.mark.parametrize("name", ["cifar10", "mnist", "mitbih"])
def test_a_folder_without_the_files_says_where_to_get_them(public_data, tmp_path, name):
    expected = f"^{re.escape(str(tmp_path))}: expected .* in it; get .*"
    with pytest.raises(public_data.DataError, match=expected):
        getattr(public_data, f"load_{name}")(tmp_path)
