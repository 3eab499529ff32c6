"""Mixed precision by need: the fewest layers to keep in float so that int8 costs no more accuracy than is allowed.

Layers are ranked by what of the output's error goes when each alone is in float (`tfeff.debug`); as many of them are
kept as the drop needs, found by doubling and halving on the evaluation images, and then those without which it holds as
well are given back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.export import quantize

_RANKED_ON = 48  # images
_GIVEN_BACK = 12  # layers that are tried one by one at the end


@dataclass(frozen=True)
class Mixed:
    """What the search found.

    Attributes:
        path: the file; None where even all layers in float would not do.
        kept: points in float, the one that matters most first.
        accuracy: of the file, as `tfeff.compare` says it.
        tried: {"kept", "delta"} of every file that was made on the way.
    """

    path: Path | None
    kept: tuple[str, ...]
    accuracy: dict[str, Any] | None
    tried: tuple[dict[str, Any], ...]


def find_kept(
    int8: quantize.Int8File,
    make: Callable[[tuple[str, ...], Path], None],
    file: Path,
    twin: Path,
    images: np.ndarray,
    *,
    max_drop: float,
    compare: Callable[[Path], dict[str, Any]],
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> Mixed:
    """Searches.

    Args:
        int8: what `file` was made of.
        make: writes the file in which some points stay in float.
        file: the network all in int8.
        twin: the same in float.
        images: float32 (n, h, w, c), preprocessed, to rank the layers on.
        max_drop: points of top-1.
        compare: what `tfeff.compare.compare` says of a file.
        folder: a scratch folder.
        progress: called with (step, done, total).
    """
    ranked = _rank(int8, file, twin, images, folder, progress)
    tried: dict[frozenset, tuple[Path, dict[str, Any]]] = {}

    def met(kept):
        key = frozenset(kept)
        if key not in tried:
            progress("searching layers to keep in float", 0, 0)
            path = folder / f"mixed{len(tried)}.tflite"
            make(tuple(kept), path)
            tried[key] = path, compare(path)
        return -tried[key][1]["delta"] <= max_drop

    kept = _fewest(ranked, met)
    if kept is not None:
        for point in reversed(kept[-_GIVEN_BACK:]):
            without = [each for each in kept if each != point]
            if without and met(without):
                kept = without
    steps = tuple({"kept": len(key), "delta": accuracy["delta"]} for key, (_, accuracy) in tried.items())
    if kept is None:
        return Mixed(None, (), None, steps)
    return Mixed(tried[frozenset(kept)][0], tuple(kept), tried[frozenset(kept)][1], steps)


def _fewest(ranked, met):
    """The shortest beginning of the ranking that will do; None where the whole will not."""
    low, high = 0, 1
    while not met(ranked[:high]):
        if high >= len(ranked):
            return None
        low, high = high, min(2 * high, len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(ranked[:middle]) else (middle, high)
    return ranked[:high]


def _rank(int8, file, twin, images, folder, progress):
    """Points, the one first whose layer makes most of the output's error; tensors are called by their points."""
    from tfeff.debug import debug
    from tfeff.export.quantize.graph import INPUT

    source = folder / "ranked_on.npz"
    np.savez(source, images=np.asarray(images[:_RANKED_ON]))
    rows = debug(file, float_file=twin, images=str(source), samples=_RANKED_ON, progress=progress).layers
    scales, _ = int8.scales(file)
    return list(dict.fromkeys(name for row in rows for name in row.tensors if name in scales and name != INPUT))
