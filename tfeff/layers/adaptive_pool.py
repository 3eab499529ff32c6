"""Adaptive average pooling: the mean of windows that are given by how many there are to be, as PyTorch has it.

It is made of Keras' own pooling, so that every target and every rewrite knows its pieces.
"""

import math
from collections.abc import Sequence
from typing import Any

from keras import layers

from tfeff.layers.depth_space import DepthToSpace

Window = tuple[int, int]  # the first pixel of it, and the first behind it
_ROWS, _COLUMNS = 1, 2


def windows(length: int, to: int) -> list[Window]:
    """The windows along an axis: the i-th of `to` covers floor(i n / to) to ceil((i + 1) n / to) - 1 of n = `length`.

    They overlap where `to` does not divide n.
    """
    return [(i * length // to, -(-(i + 1) * length // to)) for i in range(to)]


def adaptive_average_pool(x: Any, size: Sequence[int], name: str) -> Any:
    """The mean of each window: (n, h, w, c) -> (n, h', w', c), as `torch.nn.functional.adaptive_avg_pool2d`.

    Where all windows of both axes are alike and equally far apart, it is one AVERAGE_POOL_2D. Where three pixels become
    two, as 3/2 of a map that goes back to the map, it is one pooling for each of the four places in a block, and a
    DEPTH_TO_SPACE. Otherwise, first along the rows and then along the columns, it is one pooling for each run of
    windows that are alike, and a CONCATENATION.

    Args:
        size: (h', w'), pixels; may be more than (h, w).
        name: of the layers.

    Raises:
        ValueError: a map whose size is open, or a size below 1.
    """
    height, width = x.shape[1:3]
    to_rows, to_columns = size
    if height is None or width is None:
        raise ValueError(f"{name}: adaptive pooling needs the height and width of its map, which are open here")
    if min(to_rows, to_columns) < 1:
        raise ValueError(f"{name}: adaptive pooling to {to_rows}x{to_columns}; at least 1x1")
    if (height, width) == (to_rows, to_columns):
        return x
    rows, columns = _runs(windows(height, to_rows)), _runs(windows(width, to_columns))
    if len(rows) == len(columns) == 1:
        return _pool(x, rows[0], columns[0], name)
    if 2 * height == 3 * to_rows and 2 * width == 3 * to_columns:
        return _two_of_three(x, name)
    for axis, runs, word in ((_ROWS, rows, "rows"), (_COLUMNS, columns, "columns")):
        x = _along(x, axis, runs, f"{name}_{word}")
    return x


def _runs(spans: Sequence[Window]) -> list[list[Window]]:
    """Neighbours that have one length and are equally far apart, together."""
    runs: list[list[Window]] = []
    for span in spans:
        run = runs[-1] if runs else []
        step = span[0] - run[-1][0] if run else 0
        alike = bool(run) and step > 0 and _length(span) == _length(run[0])
        if alike and (len(run) == 1 or step == run[1][0] - run[0][0]):
            run.append(span)
        else:
            runs.append([span])
    return runs


def _length(span: Window) -> int:
    return span[1] - span[0]


def _step(run: Sequence[Window]) -> int:
    return run[1][0] - run[0][0] if len(run) > 1 else max(1, _length(run[0]))


def _pool(x, rows, columns, name):
    """One pooling of the windows of a run in each axis, which begin at the first pixel."""
    size, strides = (_length(rows[0]), _length(columns[0])), (_step(rows), _step(columns))
    return x if max(*size, *strides) == 1 else layers.AveragePooling2D(size, strides, name=name)(x)


def _along(x, axis, runs, name):
    """The windows of one axis: (n, h, w, c) -> (n, h', w, c) or (n, h, w', c)."""
    parts, length = [], x.shape[axis]
    each_pixel = [(i, i + 1) for i in range(x.shape[3 - axis])]
    for number, run in enumerate(runs, start=1):
        word = name if len(runs) == 1 else f"{name}{number}"
        part = _crop(x, axis, (run[0][0], length - run[-1][1]), f"{word}_crop")
        here = [(first - run[0][0], last - run[0][0]) for first, last in run]
        rows, columns = (here, each_pixel) if axis == _ROWS else (each_pixel, here)
        parts.append(_pool(part, rows, columns, word))
    return parts[0] if len(parts) == 1 else layers.Concatenate(axis, name=name)(parts)


def _crop(x, axis, cut, name):
    if cut == (0, 0):
        return x
    return layers.Cropping2D((cut, (0, 0)) if axis == _ROWS else ((0, 0), cut), name=name)(x)


def _two_of_three(x, name):
    """(n, 3a, 3b, c) -> (n, 2a, 2b, c): of each three pixels, the mean of the first two and that of the last two."""
    places = []
    for row in (0, 1):
        rows = _crop(x, _ROWS, (row, 1 - row), f"{name}_row{row}")
        for column in (0, 1):
            at = _crop(rows, _COLUMNS, (column, 1 - column), f"{name}_crop{row}{column}")
            places.append(layers.AveragePooling2D(2, 3, name=f"{name}_{row}{column}")(at))  # (n, a, b, c)
    return DepthToSpace(2, name=name)(layers.Concatenate(name=f"{name}_places")(places))


def scaled(size: Sequence[int], scale: float, least: int = 1) -> tuple[int, int]:
    """(h, w) times `scale`, up to whole pixels, each side at least `least`."""
    height, width = (max(least, math.ceil(side * scale)) for side in size)
    return height, width
