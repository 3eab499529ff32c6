"""That nothing was lost: the float file against the model, the quantized file against the float one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfeff.compare import Comparison, Runner
from tfeff.compare import compare as compare_files
from tfeff.compare.ports import PortDistance
from tfeff.data import Dataset, open_dataset
from tfeff.errors import TfeffError
from tfeff.export.context import ExportContext
from tfeff.export.model import Model
from tfeff.export.steps import some_inputs
from tfeff.record.schema import Port, PortAgreement
from tfeff.tasks import get_task

FLOAT_TOLERANCE = 1e-4  # of a port's largest output: float kernels of another runtime sum in another order
INTEGER_TOLERANCE = 0.01  # of integers, the share that may differ: numbers of classes, where two scores are equal


@dataclass(frozen=True)
class Reference:
    """Inputs for the proofs, and what the model itself gives for them.

    Attributes:
        inputs: by input, (n, ...) each.
        outputs: by output, (n, ...) each.
        source: where the inputs come from.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    source: str

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))


def refer(model: Model, inputs: Mapping[str, np.ndarray], source: str) -> Reference:
    """Runs the model, one sample at a time as the files are."""
    outputs = [model.run({name: value[None] for name, value in each.items()}) for each in samples(inputs)]
    return Reference(inputs, {name: np.concatenate([each[name] for each in outputs]) for name in model.outputs}, source)


def samples(arrays: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """One sample at a time of arrays (n, ...) by name."""
    for number in range(len(next(iter(arrays.values())))):
        yield {name: values[number] for name, values in arrays.items()}


def check_tasks(context: ExportContext) -> None:
    """Do the tasks fit the outputs, and the dataset the tasks? By one run on noise, before anything else is done.

    Raises:
        TfeffError: no; or a gate on a metric where there is none.
    """
    model, request = context.model, context.request
    outputs = {name: Port(name=name, shape=[1, *values.shape[1:]], dtype=values.dtype.name)
               for name, values in model.run(some_inputs(model.inputs, 1)).items()}  # fmt: skip
    dataset, metrics = _dataset(context), False
    for spec in model.tasks:
        task = get_task(spec.name)
        chosen = [outputs[name] for name in spec.outputs]
        try:
            task.check(spec, chosen)
            if task.metric(spec) is not None:
                metrics = True
                if dataset is not None:
                    task.annotations(dataset, spec, chosen)
        except TfeffError as error:
            raise TfeffError(f"{model.network}: {error.what}", error.mend) from None
    if request.max_drop is not None and not metrics:
        raise TfeffError(
            f"--max-drop: what the outputs of {model.network} mean is not known, so they have no metric",
            "say it with --task, or leave --max-drop out",
        )


def _dataset(context: ExportContext) -> Dataset | None:
    """The samples to compare on; labelled where a task has a metric. None where nothing is compared."""
    if context.request.dataset is None or context.model.random_weights:
        return None
    measured = [spec for spec in context.model.tasks if get_task(spec.name).metric(spec) is not None]
    return open_dataset(context.request.dataset, "test", labelled=bool(measured))


@dataclass(frozen=True)
class FloatError:
    """The largest difference of the float file's outputs to the model's, and over the largest output of the same port:
    of the port where that is largest."""

    max_abs_error: float
    relative_error: float


def prove_float(context: ExportContext, twin: Path, reference: Reference) -> FloatError:
    """That the float file computes what the model computes: the first link of the chain to the quantized file.

    Raises:
        TfeffError: it does not.
    """
    runner, found = Runner(twin, isolated=False), []
    given = [runner(each) for each in samples(reference.inputs)]
    for name, wanted in reference.outputs.items():
        values = np.stack([each[name] for each in given]).reshape(wanted.shape)
        if not np.issubdtype(wanted.dtype, np.floating):
            share = float(np.mean(values != wanted))
            if share > INTEGER_TOLERANCE:
                _differs(context, name, f"in {100 * share:.1f} % of its numbers", f"{100 * INTEGER_TOLERANCE:g} %")
            continue
        error = float(np.abs(values.astype(np.float64) - wanted).max())
        relative = error / max(float(np.abs(wanted).max()), 1e-12)
        if not relative <= FLOAT_TOLERANCE:
            _differs(context, name, f"by {relative:.1e} of its largest output", f"{FLOAT_TOLERANCE:.0e}")
        found.append(FloatError(error, relative))
    return max(found, key=lambda each: each.relative_error, default=FloatError(0.0, 0.0))


def _differs(context, name, by, allowed):
    of = f", output {name}," if len(context.model.outputs) > 1 else ""
    raise TfeffError(
        f"the float file differs from {context.model.network}{of} {by} ({allowed} is allowed)",
        "see whether the network behaves differently in training and in inference, or yields NaN",
    )


def compare(context: ExportContext, file: Path, twin: Path) -> Comparison | None:
    """Both files in the metrics of the model's tasks; None where there is nothing to compare on."""
    dataset = _dataset(context)
    if dataset is None:
        return None
    return compare_files(
        file,
        twin,
        dataset,
        context.model.inputs,
        context.model.tasks,
        samples=context.request.evaluation_samples,
        seed=context.request.seed,
        allow_audit=True,
        progress=lambda done, total: context.progress("comparing", done, total),
    )


def agreement(file: Path, twin: Path, feeds: Iterable[Mapping[str, np.ndarray]], source: str) -> list[PortAgreement]:
    """How far each output of a file is from the float file's, on inputs without annotations."""
    runner, reference = Runner(file, isolated=False), Runner(twin, isolated=False)
    distances = [PortDistance(port.name) for port in runner.outputs]
    for each in feeds:
        wanted, given = reference(each), runner(each)
        for distance in distances:
            distance.add(wanted[distance.name], given[distance.name])
    return [distance.agreement("float file", source) for distance in distances]
