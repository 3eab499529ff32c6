"""Collecting calibration inputs into a file, in constant memory, with the checks that must not be skipped."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tfeff.calibration.sources import open_source

from tfeff.data import Preprocessing
from tfeff.errors import TfeffError

DEFAULT_SAMPLES = 512
_FEW = 32  # fewer images than this leave ranges to chance


@dataclass(frozen=True)
class Calibration:
    """Calibration inputs in a file.

    Attributes:
        path: `.npy`, float32 (n, h, w, c), preprocessed.
        source: as the user named it.
        asked, found, used: numbers of images; `asked` and `found` are None where nobody asked or could count.
        findings: what is odd about the images but no error.
    """

    path: Path
    source: str
    asked: int | None
    found: int | None
    used: int
    findings: tuple[str, ...]

    def inputs(self, count: int | None = None) -> np.ndarray:
        """The first `count` inputs (all without it), mapped from the file: float32 (n, h, w, c)."""
        return np.load(self.path, mmap_mode="r")[:count]

    def as_dict(self) -> dict[str, Any]:
        """The record's `calibration` entry; the converter's own method is the range of all values seen."""
        return {
            "source": self.source, "asked": self.asked, "found": self.found, "used": self.used,
            "method": "minmax", "findings": list(self.findings),
        }  # fmt: skip


def collect(
    spec: str,
    preprocessing: Preprocessing,
    path: Path,
    *,
    samples: int | None = None,
    limit: int = DEFAULT_SAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Reads calibration images, preprocesses and checks them, and writes them to a file.

    Args:
        spec: see `sources.open_source`.
        path: the `.npy` to write.
        samples: how many are wanted; fewer is an error. None takes what there is, up to `limit`.
        seed: chooses among more images than are wanted.
        progress: called with (done, total).

    Raises:
        TfeffError: no images, too few, damaged ones (named), NaN, all the same, wrong shapes, or float values that the
            preprocessing cannot have produced.
    """
    if samples is not None and samples < 1:
        raise TfeffError(f"--samples must be at least 1, not {samples}")
    found, images = open_source(spec, samples, limit, seed)
    wanted = samples or limit
    total = wanted if found is None else min(found, wanted)
    # The number of images is known only at the end of a function's iterable, so the header is written last.
    raw = path.with_suffix(".raw")
    used, digests = 0, set()
    with raw.open("wb") as file:
        for name, image in images:
            value = np.ascontiguousarray(_input(name, image, preprocessing))
            file.write(value.tobytes())
            digests.add(hashlib.blake2b(value.tobytes(), digest_size=16).digest())
            used += 1
            progress(used, total)
            if used == wanted:
                break
    _check(spec, used, samples, len(digests))
    shape = (used, *preprocessing.shape)
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    source = np.memmap(raw, np.float32, mode="r", shape=shape)
    for number in range(used):
        target[number] = source[number]
    target.flush()
    del source, target
    raw.unlink()
    findings = []
    if used < _FEW:
        findings.append(f"{used} images are few: ranges may be too narrow")
    if len(digests) < used:
        findings.append(f"{used - len(digests)} of {used} images are duplicates")
    return Calibration(path, spec, samples, found, used, tuple(findings))


def _check(spec, used, samples, distinct):
    if used == 0:
        raise TfeffError(f"calibration {spec}: no images", "give a folder with images, an .npz, or a dataset's name")
    if samples is not None and used < samples:
        raise TfeffError(
            f"calibration {spec}: {used} images, {samples} were asked for", f"add images, or --samples {used}"
        )
    if used > 1 and distinct == 1:
        raise TfeffError(f"calibration {spec}: all {used} images are the same", "give different images")


def _input(name, image, preprocessing):
    """One network input, float32 (h, w, c), from an 8-bit image or a float array that is one already."""
    image = np.asarray(image)
    if image.dtype == np.uint8:
        try:
            value = preprocessing(image)
        except TfeffError as error:
            raise TfeffError(f"calibration, {name}: {error.what}", error.mend) from None
    elif np.issubdtype(image.dtype, np.floating):
        value = image.astype(np.float32)
        if value.shape == (1, *preprocessing.shape):
            value = value[0]
        if value.shape != preprocessing.shape:
            raise TfeffError(
                f"calibration, {name}: shape {image.shape}, the network takes {preprocessing.shape}",
                "give float arrays already preprocessed, or uint8 images of any size",
            )
        if not np.isfinite(value).all():
            raise TfeffError(f"calibration, {name}: holds NaN or infinity", "remove or mend this image")
        _check_range(name, value, preprocessing)
    else:
        raise TfeffError(f"calibration, {name}: dtype {image.dtype}", "give uint8 images, or preprocessed float arrays")
    return value


def _check_range(name, value, preprocessing):
    low, high = (preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255))
    slack = 0.01 * (high - low)
    if (value < low - slack).any() or (value > high + slack).any():
        raise TfeffError(
            f"calibration, {name}: values {value.min():.4g} to {value.max():.4g}; the preprocessing (mean, std) gives "
            f"{low.min():.4g} to {high.max():.4g}",
            "give float arrays already preprocessed, or uint8 images",
        )
