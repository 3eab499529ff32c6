"""Kernels in fewer bits than float16, for bundled weights: rounded, and split into bytes that compress.

A float16 has 10 bits of mantissa; a kernel is as good with 6 of them (a rounding error of at most 2^-7 of each weight,
some 49 dB below the kernel; int8 with a scale a channel is at about 40 dB). The saved bits are zeros at the end of the
lower bytes. Upper bytes (sign, exponent) and lower bytes are stored apart, for each kind has statistics of its own and
deflate has one code a block.
"""

from collections.abc import Mapping

import numpy as np

_SUFFIX = "|float16-bytes"  # of an entry's name; no Keras variable's path has a bar


def pack(name: str, value: np.ndarray, mantissa_bits: int) -> tuple[str, np.ndarray]:
    """An array as two planes of bytes: float (...) -> uint8 (2, ...), upper and lower bytes of rounded float16.

    Args:
        value: within float16's range.
        mantissa_bits: 1 to 10, those that are kept; ties go to the even side.

    Returns:
        The entry's name and value.
    """
    if not 1 <= mantissa_bits <= 10:
        raise ValueError(f"mantissa_bits must be 1 to 10, not {mantissa_bits}")
    drop = 10 - mantissa_bits
    bits = value.astype(np.float16).view(np.uint16).astype(np.uint32)
    if drop:
        half = np.uint32((1 << (drop - 1)) - 1)
        bits = (bits + half + ((bits >> drop) & 1)) >> drop << drop
    return name + _SUFFIX, np.stack([bits >> 8, bits & 255]).astype(np.uint8)


def unpack(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All entries of a weight file, those made by `pack` as float16 under their own names.

    Raises:
        ValueError: an entry that has the name but not the form.
    """
    return dict(_unpack(name, value) if name.endswith(_SUFFIX) else (name, value) for name, value in arrays.items())


def _unpack(name, value):
    if value.dtype != np.uint8 or value.ndim < 1 or len(value) != 2:
        raise ValueError(f"{name} is {value.dtype} {value.shape}, not two planes of bytes")
    upper, lower = value.astype(np.uint16)
    return name.removesuffix(_SUFFIX), (upper << 8 | lower).view(np.float16)
