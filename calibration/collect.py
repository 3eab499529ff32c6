"""Collecting calibration inputs into a file, in constant memory, with the checks that must not be skipped."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration.findings import GRAVE, NOTE, Finding, finding
from tfeff.calibration.names import Names
from tfeff.calibration.sources import open_source
from tfeff.data import Preprocessing
from tfeff.errors import TfeffError

DEFAULT_SAMPLES = 512
_FEW = 32  # fewer images than this leave ranges to chance
_MANY_DUPLICATES = 0.5  # of the images: then they are not what was meant


@dataclass(frozen=True)
class Calibration:
    """Calibration inputs in a file.

    Attributes:
        path: `.npy`, float32 (n, h, w, c), preprocessed.
        source: as the user named it.
        asked, found, used: numbers of images; `asked` and `found` are None where nobody asked or could count.
        findings: what is odd about the images but no error; an audit adds its own.
        names: of the images, for messages.
        labels: their classes' numbers, int64 (n,); None where the source has none.
        classes: names of the classes, empty when unknown.
        floats: whether some came as float arrays, which the preprocessing has not touched.
        digests: uint64 (n, 2), of the inputs.
        method: how ranges were found from them.
        left_out: {number: name} of the images that had no say in the ranges.
        stability: how far ranges move between parts of the images; None without an audit.
        tried: what `auto` tried: `method`, and `divergence` of its int8 file from the float network; None without.
    """

    path: Path
    source: str
    asked: int | None
    found: int | None
    used: int
    findings: tuple[Finding, ...]
    names: Sequence[str] = ()
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    floats: bool = False
    digests: np.ndarray | None = None
    method: str = "minmax"
    left_out: Mapping[int, str] = field(default_factory=dict)
    stability: dict[str, Any] | None = None
    tried: tuple[dict[str, Any], ...] | None = None

    def inputs(self, count: int | None = None) -> np.ndarray:
        """The first `count` inputs (all without it), mapped from the file: float32 (n, h, w, c)."""
        return np.load(self.path, mmap_mode="r")[:count]

    def images(self, which: Iterable[int] | None = None) -> Iterator[np.ndarray]:
        """The inputs one at a time (those of these numbers), read rather than mapped: pages of a mapping would count as
        our memory."""
        with self.path.open("rb") as file:
            np.lib.format.read_magic(file)
            (count, *shape), _, _ = np.lib.format.read_array_header_1_0(file)
            start, size = file.tell(), int(np.prod(shape))
            for number in range(count) if which is None else which:
                file.seek(start + 4 * size * int(number))
                yield np.fromfile(file, np.float32, size).reshape(shape)

    def typical(self, most: int) -> np.ndarray:
        """Numbers of up to so many images that are not left out: those whose inputs have the smallest digests, which
        are the same images in whatever order they came."""
        kept = np.setdiff1d(np.arange(self.used), np.array(list(self.left_out), int))
        return kept[np.lexsort(self.digests[kept].T[::-1])[:most]]

    def with_audit(
        self, method: str, findings: Sequence[Finding], left_out: Sequence[int], stability: dict[str, Any]
    ) -> "Calibration":
        """The same with what an audit found."""
        findings = (*self.findings, *findings)
        named = {int(number): self.names[int(number)] for number in left_out}  # now: the names' file may go away
        return replace(self, method=method, findings=findings, left_out=named, stability=stability)

    def with_trials(self, trials: Sequence[Any]) -> "Calibration":
        """The same with what `choice.choose` tried, the best first."""
        tried = tuple({"method": each.method, "divergence": each.divergence} for each in trials)
        return replace(self, method=trials[0].method, tried=tried)

    def as_dict(self) -> dict[str, Any]:
        """The record's `calibration` entry."""
        return {
            "source": self.source, "asked": self.asked, "found": self.found, "used": self.used,
            "method": self.method, "findings": [each.as_dict() for each in self.findings],
            "left_out": list(self.left_out.values()), "stability": self.stability,
            "tried": None if self.tried is None else list(self.tried),
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
        TfeffError: no images, too few, damaged ones (named), NaN, all the same, or wrong shapes.
    """
    if samples is not None and samples < 1:
        raise TfeffError(f"--samples must be at least 1, not {samples}")
    source = open_source(spec, samples, limit, seed)
    wanted = samples or limit
    total = wanted if source.found is None else min(source.found, wanted)
    names, labels, digests, floats = Names(path.with_suffix(".names")), array("q"), array("Q"), False
    try:
        with path.open("wb") as file, path.with_suffix(".names").open("wb") as names_file:
            _write_header(file, total, preprocessing.shape)
            for name, image, label in source.images:
                value = np.ascontiguousarray(_input(name, image, preprocessing))
                floats |= np.asarray(image).dtype != np.uint8
                file.write(value.tobytes())
                digests.frombytes(hashlib.blake2b(value.tobytes(), digest_size=16).digest())
                names.append(names_file, name)
                if label is not None:
                    labels.append(label)
                progress(len(names), total)
                if len(names) == wanted:
                    break
            digests = np.array(digests, np.uint64).reshape(-1, 2)
            again = _again(digests)
            _check(spec, len(names), samples, len(names) - len(again))
            file.seek(0)  # the number of images is known only at the end of a function's iterable
            _write_header(file, len(names), preprocessing.shape)
    except BaseException:
        path.unlink(missing_ok=True)
        path.with_suffix(".names").unlink(missing_ok=True)
        raise
    known = len(labels) == len(names)
    return Calibration(
        path, spec, samples, source.found, len(names), tuple(_findings(names, again)), names,
        np.array(labels, np.int64) if known else None, source.classes if known else (), bool(floats), digests,
    )  # fmt: skip


def _again(digests):
    """Numbers of the inputs that were there before, ascending."""
    _, first = np.unique(digests, axis=0, return_index=True)
    return np.setdiff1d(np.arange(len(digests)), first)


def _write_header(file, count, shape):
    """NumPy leaves room in it for a first axis of any length, so it may be written once more."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(file, header)


def _findings(names, again):
    used = len(names)
    if used < _FEW:
        yield finding("few-images", NOTE, f"{used} images are few: ranges may be too narrow")
    if len(again):
        severity = GRAVE if len(again) > _MANY_DUPLICATES * used else NOTE
        yield finding("duplicates", severity, f"{len(again)} of {used} images are duplicates", names, again)


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
    else:
        raise TfeffError(f"calibration, {name}: dtype {image.dtype}", "give uint8 images, or preprocessed float arrays")
    return value
