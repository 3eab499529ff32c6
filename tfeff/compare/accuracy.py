"""A quantized file against its float twin: the same samples through both, and what the difference means."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfeff.artifact import Artifact, update_record
from tfeff.compare.differing import Differing, MostDiffering
from tfeff.compare.grid import check_grids
from tfeff.compare.ports import PortDistance
from tfeff.compare.runner import RUNTIME, Runner, runtime_version
from tfeff.data import Dataset
from tfeff.data.feeds import InputPort, feed, placement_of
from tfeff.errors import TfeffError
from tfeff.record.schema import Accuracy, Group, Port, PortAgreement, Record, TaskSpec
from tfeff.tasks import Metric, get_task
from tfeff.tasks.statistics import paired_difference
from tfeff.tflite.part import WHOLE, PartOptions

_CHUNK_SAMPLES, _CHUNK_BYTES = 64, 2**24  # samples prepared ahead of the two files, whichever is less
_WORST = 3  # groups


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    Attributes:
        accuracy: an entry a task that has a metric.
        ports: an entry an output port.
        quantized_sha256, float_sha256: of the files.
        notes: lines to say: what of the dataset or of the preprocessing is to be doubted.
        differing: the images on which the two differ most, where they were asked for.
    """

    accuracy: list[Accuracy]
    ports: list[PortAgreement]
    quantized_sha256: str
    float_sha256: str
    notes: tuple[str, ...] = ()
    differing: tuple[Differing, ...] = ()


def compare(
    quantized: Path,
    float_file: Path,
    dataset: Dataset,
    inputs: Sequence[InputPort],
    tasks: Sequence[TaskSpec],
    *,
    samples: int | None = None,
    part: PartOptions = WHOLE,
    threads: int = 2,
    seed: int = 0,
    allow_audit: bool = False,
    pictured: Sequence[TaskSpec] = (),
    pictures: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Runs both files on the same samples, each read and preprocessed once; memory does not grow with their number.

    Args:
        quantized, float_file: two .tflite files with the same ports.
        dataset: samples, with what each task wants to know of them (`Task.annotations`).
        inputs: what both files take, by name.
        tasks: what the outputs mean.
        part: of both files, the signature that is run and the sizes that they leave open.
        samples: how many to take, a seeded random subset; all when None or not fewer than there are.
        threads: 2 or more run the two files side by side, with half of them each.
        seed: of the subset, the bootstrap and the test.
        allow_audit: whether samples that do not lie on the quantized file's input grids are only said.
        pictured, pictures: tasks, measured or not, by which the images are found on which the files differ most, and
            how many of these are kept.
        progress: called with (samples done, samples in all).

    Raises:
        GateFailed: samples that do not lie on the grids of the quantized file's inputs.
        TfeffError: a file that cannot be run, files, tasks or dataset that do not fit each other, an unreadable sample,
            or outputs that are not finite.
    """
    of_float, of_quantized = (Runner(path, threads=max(1, threads // 2), part=part) for path in (float_file, quantized))
    runners = of_float, of_quantized
    _check_inputs(of_float, of_quantized, inputs)
    outputs, names = _match_outputs(of_float, of_quantized, {name for spec in tasks for name in spec.outputs})
    measured = [_Measured(spec, outputs, dataset) for spec in tasks]
    if not len(dataset):
        raise TfeffError(f"dataset {dataset.name}: holds no images", "give a dataset with images")
    numbers = _choose(len(dataset), samples, seed)
    notes = [*dataset.notes, *(note for each in measured for note in each.notes)]
    distances = [PortDistance(port.name) for port in outputs]
    most = MostDiffering(pictured if pictures else (), outputs, dataset, pictures)
    done = 0

    def take(batch, places, futures):
        nonlocal done
        for number, place, *both in zip(batch, places, *(future.result() for future in futures), strict=True):
            both = [{new: given[old] for new, old in of.items()} for given, of in zip(both, names, strict=True)]
            _check_finite(runners, both, dataset, int(number))
            for distance in distances:
                distance.add(*(each[distance.name] for each in both))
            for each in measured:
                each.add(int(number), place, *both)
            most.add(int(number), place, *both)
        done += len(batch)
        if progress:
            progress(done, len(numbers))

    with ThreadPoolExecutor(2 if threads > 1 else 1) as pool:
        pending = None
        for batch, places, feeds in _batches(dataset, numbers, inputs):  # prepared while the files run the batch before
            if pending:
                take(*pending)
            else:
                notes += check_grids(of_quantized.path, inputs, of_quantized.inputs, feeds, allow=allow_audit)
            pending = batch, places, [pool.submit(_run, runner, feeds) for runner in runners]
        if pending:
            take(*pending)
    shas = {"quantized_sha256": runners[1].sha256, "float_sha256": runners[0].sha256}
    accuracy = [each.entry(dataset.name, seed, shas) for each in measured if each.metrics]
    ports = [distance.agreement("float file", dataset.name) for distance in distances]
    return Comparison(accuracy, ports, **shas, notes=tuple(notes), differing=most.found)


def record_accuracy(artifact: Artifact, result: Comparison) -> bool:
    """Writes what `compare` gave as `accuracy` and `ports` into the artifact's record; False when it has none.

    Raises:
        TfeffError: the result was measured on another file, or the record cannot be written.
    """
    if result.quantized_sha256 != artifact.sha256:
        raise TfeffError(f"{artifact.path}: changed while it was compared (sha256 differs)", "compare it again")

    def change(record: Record) -> None:
        record.accuracy = result.accuracy
        record.ports = [each for each in record.ports if each.reference != "float file"] + result.ports

    return update_record(artifact, change)


class _Measured:
    """One task on its way: what it decodes of both files, and its metrics of them."""

    def __init__(self, spec: TaskSpec, outputs: Sequence[Port], dataset: Dataset):
        by_name = {port.name: port for port in outputs}
        if missing := [name for name in spec.outputs if name not in by_name]:
            raise TfeffError(
                f"task {spec.name}: reads the output {missing[0]!r}, the files have {', '.join(by_name)}", "export anew"
            )
        self._spec, self._task = spec, get_task(spec.name)
        chosen = [by_name[name] for name in spec.outputs]
        self._task.check(spec, chosen)
        metrics = [self._task.metric(spec), self._task.metric(spec)]
        self.metrics: list[Metric[Any]] = [metric for metric in metrics if metric is not None]
        self._annotations = self._task.annotations(dataset, spec, chosen) if self.metrics else ()
        self.notes = self._task.notes(dataset, spec) if self.metrics else []

    def add(self, number, place, *both):
        if not self.metrics:
            return
        annotation = self._annotations[number]
        for metric, outputs in zip(self.metrics, both, strict=True):
            prediction = self._task.decode(outputs, self._spec)
            metric.add(prediction if place is None else self._task.in_image(prediction, place), annotation)

    def entry(self, dataset: str, seed: int, shas: dict[str, str]) -> Accuracy:
        before, after = self.metrics
        found = paired_difference(before, after, seed)
        groups = [
            Group(label=one.label, float_value=one.value, quantized=other.value,
                  delta=round(other.value - one.value, 10), samples=one.samples)
            for one, other in zip(before.groups(), after.groups(), strict=True)
        ]  # fmt: skip
        sign = 1 if before.higher_is_better else -1
        worst = sorted((group for group in groups if sign * group.delta < 0), key=lambda group: sign * group.delta)
        return Accuracy(
            task=self._spec.name, outputs=list(self._spec.outputs), metric=before.name, unit=before.unit,
            higher_is_better=before.higher_is_better, float_value=found.float_value, quantized=found.quantized,
            delta=found.delta, ci95=found.ci95, p=found.p, test=found.test, samples=before.count, dataset=dataset,
            worst=worst[:_WORST], groups=groups, details=self._task.details(before, after), runtime=RUNTIME,
            version=runtime_version(), **shas,
        )  # fmt: skip


def _check_inputs(float_file: Runner, quantized: Runner, inputs: Sequence[InputPort]) -> None:
    """Do both files take what is fed?"""
    if unlike := [port.name for port in float_file.inputs if port.quantized]:
        raise TfeffError(
            f"{float_file.path}: its input {unlike[0]} is quantized, so it is no float twin",
            "give the float32 file that was exported from the same network",
        )
    for runner in (float_file, quantized):
        expected = {port.name: tuple(port.shape) for port in inputs}
        found = {port.name: port.sample for port in runner.inputs}
        if len(found) == len(expected) == 1:
            found = dict(zip(expected, found.values(), strict=True))  # another converter's name of it
        if found != expected:
            raise TfeffError(
                f"{runner.path}: takes {_listed(found)}, the preprocessing gives {_listed(expected)}",
                "use the preprocessing that the network was trained with, and files of one network",
            )


def _match_outputs(float_file: Runner, quantized: Runner, wanted: set[str]) -> tuple[list[Port], list[dict[str, str]]]:
    """The ports that both give, by the quantized file's names; and of each file, name -> its own name.

    Outputs of the same names are the same; where a converter chose others, those of the same shape are, if there is one
    only (converters do not keep the order). A file's only output has the name that the tasks want.
    """
    before, after = ({port.name: port.sample for port in runner.outputs} for runner in (float_file, quantized))
    own = list(after)
    theirs = own
    if before.keys() != after.keys():
        by_shape = {shape: name for name, shape in before.items()}
        theirs = [by_shape.get(shape, "") for shape in after.values()]
    if [before.get(name) for name in theirs] != list(after.values()) or not len(set(theirs)) == len(before):
        raise TfeffError(
            f"{quantized.path}: gives {_listed(after)}; {float_file.path} gives {_listed(before)}",
            "give two files of the same network, whose outputs have the same names",
        )
    names = list(wanted) if len(own) == len(wanted) == 1 else own
    ports = [
        Port(name=name, shape=[1, *port.sample], dtype=port.dtype.name)
        for name, port in zip(names, quantized.outputs, strict=True)
    ]
    return ports, [dict(zip(names, each, strict=True)) for each in (theirs, own)]


def _listed(ports):
    return ", ".join(f"{name} of shape {shape}" for name, shape in ports.items())


def _check_finite(runners, both, dataset, number):
    for runner, outputs in zip(runners, both, strict=True):
        for name, values in outputs.items():
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise TfeffError(
                    f"{runner.path}: gives NaN or infinity for {dataset.names[number]}, in {name}",
                    "the network itself is broken: look at its weights",
                )


def _choose(count, samples, seed):
    if samples is not None and samples < 1:
        raise TfeffError(f"samples must be at least 1, not {samples}")
    if samples is None or samples >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, samples, replace=False))


def _batches(dataset, numbers, inputs) -> Iterator[tuple[Any, list[Any], list[dict[str, np.ndarray]]]]:
    """Numbers of samples, where each one's image lies in the input, and what the files are given."""
    values = sum(int(np.prod(port.shape)) for port in inputs)
    size = max(1, min(_CHUNK_SAMPLES, _CHUNK_BYTES // (4 * values)))
    for start in range(0, len(numbers), size):
        chunk = numbers[start : start + size]
        where = f"dataset {dataset.name}"
        samples = [dataset.sample(int(number)) for number in chunk]
        yield (
            chunk,
            [placement_of(sample, inputs) for sample in samples],
            [feed(sample, inputs, f"{where}, {dataset.names[int(number)]}")
             for number, sample in zip(chunk, samples, strict=True)],
        )  # fmt: skip


def _run(runner, feeds):
    """What a file gives for each; its inputs by position where it has one."""
    if len(runner.inputs) == 1:
        return runner.many([next(iter(each.values())) for each in feeds])
    return runner.many(feeds)
