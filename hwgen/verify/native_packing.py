"""Codes to the bytes of AXI4-Stream beats and back, without a Python integer per beat.

The same layout as `packing`, which the bench uses; here whole test sets pass through.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.ir import Codes
from hwgen.verify.packing import BeatFormat

Octets = npt.NDArray[np.uint8]


def pack_octets(form: BeatFormat, codes: Codes) -> Octets:
    """Return the bytes of all beats of `codes`.

    Parameters
    ----------
    codes : int64 [frames, ...]; a frame's size is a multiple of `form.lanes`

    Returns
    -------
    uint8 [frames, beats, form.tdata_bits / 8], lowest byte first

    Examples
    --------
    >>> form = BeatFormat(lanes=2, width=4, signed=True, bipolar=False, tdata_bits=16)
    >>> pack_octets(form, np.array([[1, -1, -8, 7]])).tolist()
    [[[241, 0], [120, 0]]]
    """
    words = (codes + 1) >> 1 if form.bipolar else codes
    beats = math.prod(words.shape[1:]) // form.lanes
    # The low bytes of two's complement are the same in every wider word.
    word = _word_type(form.width)
    octets = np.ascontiguousarray(words.astype(word)).view(np.uint8)
    octets = octets.reshape(len(words), beats, form.lanes, word.itemsize)
    bits = np.unpackbits(octets, axis=-1, count=form.width, bitorder="little")
    packed = np.packbits(
        bits.reshape(len(words), beats, form.lanes * form.width), axis=-1, bitorder="little"
    )
    missing = form.tdata_bits // 8 - packed.shape[-1]
    return np.pad(packed, ((0, 0), (0, 0), (0, missing)))


def unpack_octets(form: BeatFormat, octets: Octets) -> Codes:
    """Return the codes in the bytes of beats; bits above the last lane are ignored.

    Parameters
    ----------
    octets : uint8 [frames, beats, form.tdata_bits / 8]

    Returns
    -------
    int64 [frames, beats * form.lanes]

    Examples
    --------
    >>> form = BeatFormat(lanes=2, width=4, signed=True, bipolar=False, tdata_bits=16)
    >>> unpack_octets(form, np.array([[[241, 0], [120, 0]]], dtype=np.uint8))
    array([[ 1, -1, -8,  7]])
    """
    frames, beats, _ = octets.shape
    used = form.lanes * form.width
    bits = np.unpackbits(octets, axis=-1, count=used, bitorder="little")
    lanes = bits.reshape(frames, beats * form.lanes, form.width)
    word = _word_type(form.width)
    packed = np.packbits(lanes, axis=-1, bitorder="little")
    whole = np.zeros((frames, beats * form.lanes, word.itemsize), dtype=np.uint8)
    whole[..., : packed.shape[-1]] = packed
    words = whole.view(word)[..., 0].astype(np.int64)
    if form.bipolar:
        return 2 * words - 1
    if form.signed:
        words -= (words >> (form.width - 1)) << form.width
    return words


def padding_is_zero(form: BeatFormat, octets: Octets) -> bool:
    """Whether all bits above the last lane are zero.

    Examples
    --------
    >>> form = BeatFormat(lanes=1, width=3, signed=False, bipolar=False, tdata_bits=8)
    >>> padding_is_zero(form, np.array([[[7]]], dtype=np.uint8))
    True
    >>> padding_is_zero(form, np.array([[[15]]], dtype=np.uint8))
    False
    """
    whole, part = divmod(form.lanes * form.width, 8)
    above = octets[..., whole + (part > 0) :].any()
    return not (above or (part and (octets[..., whole] >> part).any()))


def _word_type(width: int) -> np.dtype[np.unsignedinteger]:
    """Return the narrowest little-endian word of at least `width` bits."""
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= width)
    return np.dtype(f"<u{size}")
