"""Errors of a file's outputs: all of them together, or one."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np

from tfeff.artifact import Artifact
from tfeff.compare.ports import PortDistance, decibels
from tfeff.debug.file import LayeredFile
from tfeff.debug.result import Agreement
from tfeff.debug.samples import Outputs
from tfeff.errors import TfeffError
from tfeff.record.schema import Port, PortAgreement, TaskSpec
from tfeff.tasks import Task, get_task
from tfeff.tasks.criteria import OutputError

# The simulation stands for the file when it errs as much, and answers alike or is as near as no matter: outputs that
# are all nearly equal are decided by single steps, and a quarter of the error's energy leaves its shares as they are.
_ERROR_RATIO, _SAME_ANSWERS, _NEAR_STEPS, _NEAR_ENERGY = 2.0, 0.95, 0.5, 0.25


class Reference:
    """What outputs are counted against, on the same samples.

    The error of a sample is the mean over ports of its energy relative to the port's mean energy, so that every port
    counts alike whatever its unit; of integers the share of values that differ. Where there are floats, integers beside
    them do not count.
    """

    def __init__(self, outputs: Sequence[Outputs], named: str | None):
        """`named`: the only port that counts; None for all together.

        Raises:
            TfeffError: there is no such port.
        """
        self.outputs, names = outputs, tuple(outputs[0])
        if named is not None and named not in names:
            raise TfeffError(f"no output is called {named!r}", f"choose one of {', '.join(names)}")
        floats = tuple(name for name in names if np.issubdtype(outputs[0][name].dtype, np.floating))
        self.counted = (named,) if named is not None else floats or names
        self._criterion = OutputError(self.counted)
        signals = np.array([self._criterion.terms(each, each)[::2] for each in outputs]).mean(axis=0)  # (ports,)
        self._scales = np.where(signals > 0, signals, 1.0)

    def errors(self, given: Iterable[Outputs]) -> np.ndarray:
        """The error of each sample, float64 (n,).

        Raises:
            TfeffError: outputs of other sizes.
        """
        found = []
        for one, other in zip(self.outputs, given, strict=True):
            for name in one:
                if one[name].size != other[name].size:
                    raise TfeffError(
                        f"output {name}: {other[name].size:,} numbers against {one[name].size:,}",
                        "give a file whose sizes do not depend on its inputs, and a float file of the same network",
                    )
            found.append(np.mean(self._criterion.terms(one, other)[1::2] / self._scales))
        return np.array(found)

    def sqnr_db(self, errors: np.ndarray) -> float | None:
        """Of `errors`; None without an error."""
        return decibels(1.0, float(errors.mean()))

    def mse(self, errors: np.ndarray) -> float | None:
        """Mean squared error, in the port's own unit; None where there are several ports, or integers."""
        values = self.outputs[0][self.counted[0]]
        if len(self.counted) > 1 or not np.issubdtype(values.dtype, np.floating):
            return None
        return float(errors.mean() * self._scales[0] / values.size)


def error_share(whole: np.ndarray, left: np.ndarray) -> tuple[float, float]:
    """How much of the error is gone, and the standard error of that over the samples.

    Args:
        whole, left: (n,) errors of each sample, before and after.
    """
    total = float(whole.mean())
    if total == 0:
        return 0.0, 0.0
    share = 1 - float(left.mean()) / total
    spread = left - (1 - share) * whole  # of a ratio of two means, to first order
    return share, float(np.sqrt(np.mean(spread**2) / len(whole))) / total


def port_agreements(reference: Reference, given: Sequence[Outputs], of: str, source: str) -> list[PortAgreement]:
    """Each port of the file against the reference.

    Args:
        of: what the reference is.
        source: what the samples are from.
    """
    distances = [PortDistance(name) for name in reference.outputs[0]]
    for wanted, values in zip(reference.outputs, given, strict=True):
        for distance in distances:
            distance.add(wanted[distance.name], values[distance.name])
    return [distance.agreement(of, source) for distance in distances]


def check_finite(file: LayeredFile, outputs: Sequence[Outputs]) -> None:
    """Raises TfeffError for a float side that gives NaN or infinity."""
    if not all(np.isfinite(values).all() for each in outputs for values in each.values()):
        raise TfeffError(
            f"{file.path}: the float side gives NaN or infinity", "the network itself is broken: look at its weights"
        )


def find_agreement(
    artifact: Artifact, file: LayeredFile, reference: Reference, given: Sequence[Outputs], simulated: Sequence[Outputs]
) -> Agreement:
    """Whether the simulation stands for the file, by what both give.

    `float_sqnr_db` is left open.
    """
    errors, own = reference.errors(simulated), reference.errors(given)
    apart = Reference(given, None if len(reference.counted) > 1 else reference.counted[0]).errors(simulated)
    same, steps = _same_answers(artifact, file, given, simulated), _steps(file, reference.counted, given, simulated)
    mean_lsb, max_lsb = steps or (None, None)
    ratio = float(errors.mean() / own.mean()) if own.mean() > 0 else 1.0
    near = float(apart.mean()) <= _NEAR_ENERGY * float(own.mean())
    near = near or (same is not None and same >= _SAME_ANSWERS)
    near = near or (mean_lsb is not None and mean_lsb <= _NEAR_STEPS)
    return Agreement(
        agrees=near and 1 / _ERROR_RATIO <= ratio <= _ERROR_RATIO,
        same_answers=same,
        sqnr_db=reference.sqnr_db(apart),
        mean_lsb=mean_lsb,
        max_lsb=max_lsb,
        mse=reference.mse(errors),
        float_sqnr_db=None,
    )


def _steps(
    file: LayeredFile, counted: Sequence[str], given: Sequence[Outputs], simulated: Sequence[Outputs]
) -> tuple[float, float] | None:
    """Mean and largest |difference| of all values in steps of their grids; None where no counted output has a grid."""
    total, largest, count = 0.0, 0.0, 0
    for port in file.output_ports:
        grid, number = file.grid(port.index), file.producers.get(port.index)
        if grid is None and number is not None and file.operators[number].name == "DEQUANTIZE":
            grid = file.grid(file.operators[number].inputs[0])
        if port.name not in counted or grid is None:
            continue
        for one, other in zip(given, simulated, strict=True):
            apart = np.abs(one[port.name] - other[port.name]) / grid.scale
            total, largest = total + float(apart.sum(dtype=np.float64)), max(largest, float(apart.max(initial=0.0)))
            count += apart.size
    return (total / count, largest) if count else None


def _same_answers(
    artifact: Artifact, file: LayeredFile, given: Sequence[Outputs], simulated: Sequence[Outputs]
) -> float | None:
    """Share of the samples of which every task of the record that can tell gives the same answer; None without one."""
    tasks = list(_tasks(artifact, file))
    alike = [
        [task.same_answer(*(task.decode(_by_task(spec, file, each), spec) for each in pair)) for task, spec in tasks]
        for pair in zip(given, simulated, strict=True)
    ]
    known = [[each for each in row if each is not None] for row in alike]
    return float(np.mean([all(row) for row in known])) if known and known[0] else None


def _tasks(artifact: Artifact, file: LayeredFile) -> Iterable[tuple[Task, TaskSpec]]:
    """The record's tasks that fit the file."""
    for spec in artifact.record.tasks if artifact.record else ():
        ports = [
            Port(name=name, shape=[1, *file.output_ports[place].sample], dtype=file.output_ports[place].dtype.name)
            for name, place in zip(spec.outputs, _places(spec, file), strict=False)
        ]
        if len(ports) == len(spec.outputs):
            task = get_task(spec.name)
            with suppress(TfeffError):
                task.check(spec, ports)
                yield task, spec


def _places(spec: TaskSpec, file: LayeredFile) -> list[int]:
    """Which of the file's outputs a task reads; a file's only output, whatever it is called. Fewer where some lack."""
    names = [port.name for port in file.output_ports]
    if len(names) == len(spec.outputs) == 1:
        return [0]
    return [names.index(name) for name in spec.outputs if name in names]


def _by_task(spec: TaskSpec, file: LayeredFile, outputs: Outputs) -> dict[str, np.ndarray]:
    """Outputs by the names that the task has for them, in the ports' shapes."""
    ports = [file.output_ports[place] for place in _places(spec, file)]
    return {name: outputs[port.name].reshape(port.sample) for name, port in zip(spec.outputs, ports, strict=True)}
