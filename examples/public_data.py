"""Readers of the public data sets that the examples train on; nothing is downloaded here.

Each takes the folder that holds the files as their publishers give them out, or an .npz of the same
arrays, and returns `Data` with uint8 or int16 arrays: no number is changed on the way.
"""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError


class DataError(HwgenError):
    """A folder does not hold the files of a data set."""


class Data(NamedTuple):
    """Samples (N, ...) as published and labels (N,) as int64, split for training and test."""

    train: npt.NDArray[np.generic]
    train_labels: npt.NDArray[np.int64]
    test: npt.NDArray[np.generic]
    test_labels: npt.NDArray[np.int64]


def load_npz(path: Path) -> Data:
    """Return x_train, y_train, x_test and y_test of an .npz, Keras' names."""
    with np.load(path) as arrays:
        missing = {"x_train", "y_train", "x_test", "y_test"} - set(arrays.files)
        if missing:
            raise DataError(
                f"{path}: expected x_train, y_train, x_test, y_test, got {arrays.files}"
            )
        train, test = arrays["x_train"], arrays["x_test"]
        labels = [arrays[name].reshape(-1).astype(np.int64) for name in ("y_train", "y_test")]
    return Data(train, labels[0], test, labels[1])


# CIFAR-10: 32x32 colour images in ten classes. https://www.cs.toronto.edu/~kriz/cifar.html

_CIFAR_FILES = [f"data_batch_{number}" for number in range(1, 6)]


def load_cifar10(folder: Path) -> Data:
    """Return images (N, 3, 32, 32) uint8 from the python version, the binary version or an .npz.

    Parameters
    ----------
    folder : with `cifar-10-batches-py` (what torchvision.datasets.CIFAR10 downloads),
        `cifar-10-batches-bin` or `cifar10.npz`, or one of the first two itself
    """
    if (folder / "cifar10.npz").is_file():
        data = load_npz(folder / "cifar10.npz")
        train, test = (x.transpose(0, 3, 1, 2) for x in (data.train, data.test))  # from N, H, W, C
        return data._replace(train=np.ascontiguousarray(train), test=np.ascontiguousarray(test))
    for inner in (folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"):
        for suffix, read in (("", _cifar_pickle), (".bin", _cifar_records)):
            if (inner / f"data_batch_1{suffix}").is_file():
                parts = [read(inner / f"{name}{suffix}") for name in _CIFAR_FILES]
                train, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
                return Data(train, labels, *read(inner / f"test_batch{suffix}"))
    raise DataError(
        f"{folder}: expected cifar-10-batches-py, cifar-10-batches-bin or cifar10.npz in it; get "
        "the files from https://www.cs.toronto.edu/~kriz/cifar.html, or by "
        "torchvision.datasets.CIFAR10(folder, download=True)"
    )


def _cifar_records(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _cifar_pickle(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    with path.open("rb") as file:
        batch = _ArraysOnly(file, encoding="bytes").load()
    return batch[b"data"].reshape(-1, 3, 32, 32), np.asarray(batch[b"labels"], dtype=np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays and plain containers; a pickle can otherwise run any program."""

    def find_class(self, module: str, name: str) -> object:
        if (module.split(".")[0], name) in {
            ("numpy", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise DataError(f"expected a pickle of arrays, got one that asks for {module}.{name}")


# MNIST: handwritten digits of 28x28 grey pixels. http://yann.lecun.com/exdb/mnist


_IDX_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def load_mnist(folder: Path) -> Data:
    """Return images (N, 28, 28) uint8 from the idx files, gzipped or not, or from `mnist.npz`.

    Parameters
    ----------
    folder : with the four idx files, with `MNIST/raw` as torchvision.datasets.MNIST makes it, or
        with `mnist.npz`
    """
    if (folder / "mnist.npz").is_file():
        return load_npz(folder / "mnist.npz")
    for inner in (folder, folder / "MNIST" / "raw"):
        if any(inner.glob("train-images*idx3-ubyte*")):
            train, labels, test, test_labels = (_read_idx(inner, name) for name in _IDX_FILES)
            return Data(train, labels.astype(np.int64), test, test_labels.astype(np.int64))
    raise DataError(
        f"{folder}: expected train-images-idx3-ubyte.gz and the other three idx files, MNIST/raw "
        "or mnist.npz in it; get them by torchvision.datasets.MNIST(folder, download=True)"
    )


def _read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    for path in (folder / f"{name}-ubyte", folder / f"{name}-ubyte.gz"):
        if path.is_file():
            blob = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
            shape = [
                int.from_bytes(blob[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(blob[3])
            ]
            return np.frombuffer(blob, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    raise DataError(f"{folder}: expected {name}-ubyte or {name}-ubyte.gz; download it again")


# MIT-BIH arrhythmia database: two leads at 360 Hz, every beat annotated.
# https://physionet.org/content/mitdb

BEAT_CLASSES = ("N", "S", "V", "F", "Q")  # ANSI/AAMI EC57
# PhysioNet's annotation code of a beat -> class; what is not here is no beat.
_BEAT_CLASS = {
    **dict.fromkeys((1, 2, 3, 11, 34), "N"),  # N L R j e
    **dict.fromkeys((4, 7, 8, 9), "S"),  # a J A S
    **dict.fromkeys((5, 10), "V"),  # V E
    6: "F",
    **dict.fromkeys((12, 13, 38), "Q"),  # paced, unclassifiable, f
}
BEAT_LENGTH, BEAT_BEFORE = 128, 45  # samples at 180 Hz in all, and before the annotated peak


def load_mitbih(folder: Path, classes: tuple[str, ...] = BEAT_CLASSES) -> Data:
    """Return beats (N, 128), int16 readings of the first lead at 180 Hz, split within records.

    Parameters
    ----------
    folder : with the .dat and .atr files of any number of records as PhysioNet gives them out, or
        with `mitbih10.npz` of such beats: x, y, record and the names of the classes
    classes : those wanted, whose order gives the labels
    """
    archive = folder / "mitbih10.npz"
    if archive.is_file():
        with np.load(archive) as arrays:
            beats, records = arrays["x"], arrays["record"]
            names = arrays["classes"][arrays["y"]]
    else:
        found = sorted(path for path in folder.glob("*.dat") if path.with_suffix(".atr").is_file())
        if not found:
            raise DataError(
                f"{folder}: expected records such as 100.dat with 100.atr, or mitbih10.npz, in it; "
                "get them from https://physionet.org/content/mitdb"
            )
        parts = [_beats_of(path) for path in found]
        beats = np.concatenate([part[0] for part in parts])
        names = np.concatenate([part[1] for part in parts])
        records = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    wanted = np.isin(names, classes)
    beats, names, records = beats[wanted], names[wanted], records[wanted]
    labels = np.array([classes.index(name) for name in names], dtype=np.int64)
    # Time goes on along a record: its last fifth is the test.
    held_out = np.zeros(len(beats), dtype=bool)
    for record in np.unique(records):
        (places,) = np.nonzero(records == record)
        held_out[places[len(places) * 4 // 5 :]] = True
    return Data(beats[~held_out], labels[~held_out], beats[held_out], labels[held_out])


def _beats_of(path: Path) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.str_]]:
    """Return the windows around the annotated beats of one record, and their classes."""
    lead = read_format_212(path.read_bytes())
    lead = lead[: len(lead) // 2 * 2].reshape(-1, 2).mean(axis=1).astype(np.int16)
    windows, names = [], []
    for sample, code in read_annotations(path.with_suffix(".atr").read_bytes()):
        begin = sample // 2 - BEAT_BEFORE
        if code in _BEAT_CLASS and begin >= 0 and begin + BEAT_LENGTH <= len(lead):
            windows.append(lead[begin : begin + BEAT_LENGTH])
            names.append(_BEAT_CLASS[code])
    return np.array(windows, dtype=np.int16).reshape(-1, BEAT_LENGTH), np.array(names, dtype=str)


def read_format_212(blob: bytes) -> npt.NDArray[np.int16]:
    """Return the first of two leads: two 12-bit numbers in three bytes (WFDB's signal(5))."""
    triples = np.frombuffer(blob, np.uint8)[: len(blob) // 3 * 3].reshape(-1, 3).astype(np.int16)
    values = triples[:, 0] | (triples[:, 1] & 0x0F) << 8
    return np.where(values >= 2048, values - 4096, values).astype(np.int16)


def read_annotations(blob: bytes) -> list[tuple[int, int]]:
    """Return (sample, code) of every annotation (WFDB's annot(5), MIT format)."""
    words = np.frombuffer(blob[: len(blob) // 2 * 2], "<u2").tolist()
    found, sample, place = [], 0, 0
    while place < len(words) and words[place]:
        code, interval = words[place] >> 10, words[place] & 0x3FF
        place += 1
        if code == 59:  # a long interval in the next two words, the high one first
            interval = words[place] << 16 | words[place + 1]
            sample += interval - (1 << 32 if interval >> 31 else 0)
            place += 2
        elif code == 63:  # a text, padded to whole words
            place += (interval + 1) // 2
        elif code < 59:  # 60..62 set fields of the annotation before
            sample += interval
            found.append((sample, code))
    return found
