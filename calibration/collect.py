"""Collecting calibration inputs into files, in constant memory, with the checks that must not be skipped."""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.calibration.findings import GRAVE, NOTE, finding
from tfeff.calibration.inputs_file import InputsFile, read_inputs
from tfeff.calibration.names import Names
from tfeff.calibration.sources import Source, open_source
from tfeff.data import InputPort, feed
from tfeff.data.space import check_space
from tfeff.errors import TfeffError
from tfeff.record import schema

DEFAULT_SAMPLES = 512
_FEW = 32  # fewer than this leave ranges to chance
_MANY_DUPLICATES = 0.5  # of the samples: then they are not what was meant

Feed = dict[str, np.ndarray]  # what a model is given of one sample, by input, without the batch


@dataclass(frozen=True)
class Calibration:
    """Calibration inputs in files.

    Attributes:
        ports: the model's inputs.
        paths: {input: `.npy` (n, ...)}, of the ports' types, preprocessed, in their order.
        source: as the user named it.
        asked, found, used: numbers of samples; `asked` and `found` are None where nobody asked or could count.
        findings: what is odd about the samples but no error; an audit adds its own.
        names: of the samples, for messages.
        labels: their classes' numbers, int64 (n,); None where the source has none.
        classes: names of the classes, empty when unknown.
        floats: the image inputs of which some came as float arrays, which the preprocessing has not touched.
        digests: uint64 (n, 2), of the inputs.
        method: how ranges were found from them.
        criterion: what `tried` is measured in; None where nothing was tried.
        tried: what `auto` tried, the best first; None without.
        left_out: {number: name} of the samples that had no say in the ranges.
        held_out: how many samples `tried` were judged by, which had no say in them; None where nothing was tried.
        refit: how what was chosen, made anew of all samples, compares with the plain way; None where that was chosen.
        stability: how far ranges move between parts of the samples; None without an audit.
    """

    ports: tuple[InputPort, ...]
    paths: Mapping[str, Path]
    source: str
    asked: int | None
    found: int | None
    used: int
    findings: tuple[schema.Finding, ...] = ()
    names: Sequence[str] = ()
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    floats: frozenset[str] = frozenset()
    digests: np.ndarray | None = None
    method: str = "minmax"
    criterion: str | None = None
    tried: tuple[schema.Trial, ...] | None = None
    left_out: Mapping[int, str] = field(default_factory=dict)
    held_out: int | None = None
    refit: schema.Refit | None = None
    stability: schema.Details | None = None

    @property
    def noun(self) -> str:
        """What messages call a sample."""
        return noun_of(self.ports)

    def feeds(self, which: Iterable[int] | None = None) -> Iterator[Feed]:
        """The samples one at a time (those of these numbers), in constant memory."""
        numbers = None if which is None else list(which)
        for values in zip(*(read_inputs(path, numbers) for path in self.paths.values()), strict=True):
            yield dict(zip(self.paths, values, strict=True))

    def values(self, port: str) -> Iterator[np.ndarray]:
        """What one input is given, a sample at a time."""
        return read_inputs(self.paths[port])

    def batch(self, which: int | Sequence[int] | np.ndarray | None = None) -> Feed:
        """Samples in memory: the first so many, those of these numbers, or all: {input: (n, ...)}."""
        some = slice(which) if which is None or isinstance(which, int) else np.asarray(which, int)
        return {name: np.array(np.load(path, mmap_mode="r")[some]) for name, path in self.paths.items()}

    def typical(self, most: int) -> np.ndarray:
        """Numbers of up to so many samples that are not left out: those whose inputs have the smallest digests, which
        are the same samples in whatever order they came."""
        kept = np.setdiff1d(np.arange(self.used), np.array(list(self.left_out), int))
        if self.digests is None:
            return kept[:most]
        return kept[np.lexsort(self.digests[kept].T[::-1])[:most]]

    def without(self, which: Iterable[int]) -> "Calibration":
        """The same with these samples left out too."""
        more = {int(number): self.names[int(number)] if len(self.names) else "" for number in which}
        return replace(self, left_out={**self.left_out, **more})

    def with_audit(
        self, method: str, findings: Sequence[schema.Finding], left_out: Sequence[int], stability: schema.Details
    ) -> "Calibration":
        """The same with what an audit found."""
        found = (*self.findings, *findings)
        named = {int(number): self.names[int(number)] for number in left_out}  # now: the names' file may go away
        return replace(self, method=method, findings=found, left_out=named, stability=stability)

    def record(self) -> schema.Calibration:
        """The record's `calibration`."""
        return schema.Calibration(
            source=self.source, asked=self.asked, found=self.found, used=self.used, method=self.method,
            criterion=self.criterion, tried=None if self.tried is None else list(self.tried),
            held_out=self.held_out, refit=self.refit, findings=list(self.findings),
            left_out=list(self.left_out.values()), stability=self.stability,
        )  # fmt: skip


def noun_of(ports: Sequence[InputPort]) -> str:
    """What messages call a sample of a model: "image" where all that it takes is images."""
    return "image" if all(port.preprocessing is not None for port in ports) else "sample"


def from_arrays(arrays: Mapping[str, np.ndarray], folder: Path, source: str) -> Calibration:
    """A calibration of arrays in memory, to prove things on; nothing is checked.

    Args:
        arrays: by input, (n, ...) each, as the model takes them.
        folder: where its files go.
        source: what the record calls it.
    """
    paths = {}
    for number, (name, array_) in enumerate(arrays.items()):
        paths[name] = folder / f"calibration-{number}.npy"
        np.save(paths[name], array_)
    ports = tuple(InputPort(name, each.shape[1:], str(each.dtype)) for name, each in arrays.items())
    return Calibration(ports, paths, source, None, None, min(len(each) for each in arrays.values()))


def collect(
    spec: str,
    ports: Sequence[InputPort],
    folder: Path,
    *,
    samples: int | None = None,
    limit: int = DEFAULT_SAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Reads calibration samples, preprocesses and checks them, and writes them to files.

    Args:
        spec: see `sources.open_source`.
        ports: the model's inputs.
        folder: where the files go.
        samples: how many are wanted; fewer is an error. None takes what there is, up to `limit`.
        seed: chooses among more than are wanted.
        progress: called with (done, total).

    Raises:
        TfeffError: none, too few, damaged ones (named), NaN, all the same, or wrong shapes.
    """
    if samples is not None and samples < 1:
        raise TfeffError(f"--samples must be at least 1, not {samples}")
    noun = noun_of(ports)
    source = open_source(spec, samples, limit, seed, noun)
    wanted = samples or limit
    total = wanted if source.found is None else min(source.found, wanted)
    if source.found is not None:
        size = sum(math.prod(port.shape) * np.dtype(port.dtype).itemsize for port in ports)
        check_space(folder.parent, total * size, f"{total:,} calibration {noun}s")
    paths = {port.name: folder / f"calibration-{number}.npy" for number, port in enumerate(ports)}
    with _Written(ports, paths, folder / "calibration.names") as written:
        for name, sample, label in source.samples:
            written.add(name, sample, label)
            progress(len(written.names), total)
            if len(written.names) == wanted:
                break
        digests = np.array(written.digests, np.uint64).reshape(-1, 2)
        again = _again(digests)
        _check(spec, len(digests), samples, len(digests) - len(again), noun)
    known = len(written.labels) == len(digests)
    findings = (*_of_source(source), *_findings(written.names, again, noun))
    return Calibration(
        tuple(ports), paths, spec, samples, source.found, len(digests), findings,
        written.names, np.array(written.labels, np.int64) if known else None, source.classes if known else (),
        frozenset(written.floats), digests,
    )  # fmt: skip


class _Written:
    """Samples on their way into files, which go away when a sample is refused."""

    def __init__(self, ports: Sequence[InputPort], paths: Mapping[str, Path], names: Path):
        self._ports, self._names_path = ports, names
        self._inputs = {port.name: InputsFile(paths[port.name], port.shape, port.dtype) for port in ports}
        self.names, self.labels, self.digests = Names(names), array("q"), array("Q")
        self.floats: set[str] = set()

    def __enter__(self) -> "_Written":
        self._stack = ExitStack()
        for each in self._inputs.values():
            self._stack.enter_context(each)
        self._names_file = self._stack.enter_context(self._names_path.open("wb"))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
        if error[0] is not None:
            self._names_path.unlink(missing_ok=True)

    def add(self, name: str, sample: Any, label: int | None) -> None:
        values = feed(sample, self._ports, f"calibration, {name}")
        digest = hashlib.blake2b(digest_size=16)
        for port in self._ports:
            data = values[port.name].tobytes()
            digest.update(data)
            self._inputs[port.name].append(data)
            if port.preprocessing is not None and _given(sample, port, self._ports).dtype != np.uint8:
                self.floats.add(port.name)
        self.digests.frombytes(digest.digest())
        self.names.append(self._names_file, name)
        if label is not None:
            self.labels.append(label)


def _given(sample, port, ports):
    """What a sample holds for a port, as it came."""
    if isinstance(sample, Mapping):
        return np.asarray(sample[port.name] if port.name in sample else next(iter(sample.values())))
    if isinstance(sample, list | tuple):
        return np.asarray(sample[list(ports).index(port)])
    return np.asarray(sample)


def _again(digests):
    """Numbers of the inputs that were there before, ascending."""
    _, first = np.unique(digests, axis=0, return_index=True)
    return np.setdiff1d(np.arange(len(digests)), first)


def _of_source(source: Source) -> Iterator[schema.Finding]:
    return (finding("source-files", NOTE, note) for note in source.notes)


def _findings(names, again, noun):
    used = len(names)
    if used < _FEW:
        yield finding("few-images", NOTE, f"{used} {noun}s are few: ranges may be too narrow")
    if len(again):
        severity = GRAVE if len(again) > _MANY_DUPLICATES * used else NOTE
        yield finding("duplicates", severity, f"{len(again)} of {used} {noun}s are duplicates", names, again)


def _check(spec, used, samples, distinct, noun):
    if used == 0:
        raise TfeffError(f"calibration {spec}: no {noun}s", "give a folder with images, an .npz, or a dataset's name")
    if samples is not None and used < samples:
        raise TfeffError(
            f"calibration {spec}: {used} {noun}s, {samples} were asked for", f"add {noun}s, or --samples {used}"
        )
    if used > 1 and distinct == 1:
        raise TfeffError(f"calibration {spec}: all {used} {noun}s are the same", f"give different {noun}s")
