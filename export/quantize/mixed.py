"""Mixed precision by need: the fewest layers to keep in float so that int8 costs no more accuracy than is allowed.

Layers are ranked by what of the output's error goes when each alone is in float (`tfeff.debug`); as many of them are
kept as the drop needs, found by doubling and halving on the evaluation samples, and then those without which it holds
as well are given back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.calibration import Calibration
from tfeff.compare import Comparison
from tfeff.export.context import ExportContext
from tfeff.export.quantize.int8_file import Int8File
from tfeff.record.schema import Accuracy, MixedTrial

_RANKED_ON = 48  # samples
_GIVEN_BACK = 12  # layers that are tried one by one at the end


@dataclass(frozen=True)
class Files:
    """The files that mixed precision begins with.

    Attributes:
        int8: what `file` was made of.
        file: the model all in int8.
        twin: the same in float.
        calibration: samples to rank the layers on.
    """

    int8: Int8File
    file: Path
    twin: Path
    calibration: Calibration


@dataclass(frozen=True)
class Mixed:
    """What the search found.

    Attributes:
        path: the file; None where even all layers in float would not do.
        kept: points in float, the one that matters most first.
        compared: how the file compares; None without one.
        tried: every file that was made on the way.
    """

    path: Path | None
    kept: tuple[str, ...]
    compared: Comparison | None
    tried: tuple[MixedTrial, ...]


def worst_drop(accuracy: Sequence[Accuracy]) -> Accuracy:
    """The entry of the task that lost most, by its own metric."""
    return max(accuracy, key=lambda entry: entry.drop)


def find_kept(
    context: ExportContext,
    files: Files,
    make: Callable[[tuple[str, ...], Path], object],
    compare: Callable[[Path], Comparison],
    max_drop: float,
) -> Mixed:
    """Searches.

    Args:
        make: writes the file in which some points stay in float.
        compare: how a file compares with the float twin.
        max_drop: by how much the metric of any task may be worse.
    """
    ranked = _rank(context, files)
    tried: dict[frozenset[str], tuple[Path, Comparison]] = {}

    def met(kept):
        key = frozenset(kept)
        if key not in tried:
            context.progress("searching layers to keep in float", 0, 0)
            path = context.folder / f"mixed{len(tried)}.tflite"
            make(tuple(kept), path)
            tried[key] = path, compare(path)
        return worst_drop(tried[key][1].accuracy).drop <= max_drop

    kept = _fewest(ranked, met)
    if kept is not None:
        for point in reversed(kept[-_GIVEN_BACK:]):
            without = [each for each in kept if each != point]
            if without and met(without):
                kept = without
    told = tuple(
        MixedTrial(kept=len(key), delta=worst_drop(compared.accuracy).delta) for key, (_, compared) in tried.items()
    )
    if kept is None:
        return Mixed(None, (), None, told)
    path, compared = tried[frozenset(kept)]
    return Mixed(path, tuple(kept), compared, told)


def _fewest(ranked, met):
    """The shortest beginning of the ranking that will do; None where the whole will not."""
    if not ranked:
        return None
    low, high = 0, 1
    while not met(ranked[:high]):
        if high >= len(ranked):
            return None
        low, high = high, min(2 * high, len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(ranked[:middle]) else (middle, high)
    return ranked[:high]


def _rank(context, files):
    """Points, the one first whose layer makes most of the output's error; tensors are called by their points."""
    from tfeff.debug import debug

    source = context.folder / "ranked_on.npz"
    batch = files.calibration.batch(_RANKED_ON)
    np.savez(source, **({"images": next(iter(batch.values()))} if len(batch) == 1 else batch))
    found = debug(files.file, float_file=files.twin, images=str(source), samples=_RANKED_ON, progress=context.progress)
    scales, _ = files.int8.scales(files.file)
    doors = {port.name for port in files.int8.inputs}
    return list(
        dict.fromkeys(name for row in found.layers for name in row.tensors if name in scales and name not in doors)
    )
