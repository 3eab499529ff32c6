"""That nothing was lost: the float file against the model, the quantized file against the float one."""

import re
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
from tfeff.export.rewrites.proving import FLOORS, NOISE, batch_size
from tfeff.export.rewrites.proving import floors as measure_floors
from tfeff.export.steps import some_inputs
from tfeff.record.schema import Port, PortAgreement
from tfeff.tasks import get_task

FLOAT_TOLERANCE = 1e-4  # of a port's largest output: float kernels of another runtime sum in another order
_LEAST, _NEAR = 1e-30, 1e-7  # a probability, and one less a probability, that a logit is made of
INTEGER_TOLERANCE = 0.01  # of integers, the share that may differ: numbers of classes, where two scores are equal


@dataclass(frozen=True)
class Reference:
    """Inputs for the proofs, and what the model itself gives for them.

    Attributes:
        inputs: by input, (n, ...) each.
        outputs: by output, (n, ...) each; of the copy where there is one.
        source: where the inputs come from.
        brought: what the model gives as it was brought; None where `outputs` are that.
        notes: for the record.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    source: str
    brought: Mapping[str, np.ndarray] | None = None
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))


def refer(model: Model, inputs: Mapping[str, np.ndarray], source: str) -> Reference:
    """Runs the model, one sample at a time as the files are.

    Raises:
        TfeffError: it cannot be run.
    """
    try:
        outputs = _each(model.run_copy, inputs)
    except Exception as error:  # what a user's own layer, or TensorFlow on this machine, raises
        raise TfeffError(
            f"{model.network} cannot be run: {_reason(error)}",
            "see that model(inputs, training=False) works on this machine, with one sample",
        ) from error
    if model.brought is None:
        return Reference(inputs, outputs, source)
    try:
        return Reference(inputs, outputs, source, _each(model.run, inputs))
    except Exception as error:  # of half precision there are fewer kernels
        if not hasattr(model.brought, "layers"):  # a file, or a signature, runs here or nowhere
            raise TfeffError(
                f"{model.network} cannot be run: {_reason(error)}", "see that it runs by itself"
            ) from error
        note = (
            f"the proof begins at the copy in float32: the model as it was brought does not run here ({_reason(error)})"
        )
        return Reference(inputs, outputs, source, notes=(note,))


def _reason(error):
    """The line of an exception that says what happened, without Keras' frame around it."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception encountered", "Arguments received", "•"))]
    return (told or lines or [type(error).__name__])[0][:200]


def _each(run, inputs):
    """What the model gives for each sample alone, put together by output.

    Some are run together, which is several times as quick, where the first and the last alone give the same: a model
    may have a fixed batch, or a layer that mixes samples.
    """
    count = len(next(iter(inputs.values())))
    ends = {number: run({name: value[number : number + 1] for name, value in inputs.items()})
            for number in {0, count - 1}}  # fmt: skip
    together = _together(run, inputs, count) if count > 2 else None
    alone = ((number, name, value[0]) for number, each in ends.items() for name, value in each.items())
    if together is not None and all(_same(together[name][number], value) for number, name, value in alone):
        return together
    rest = ({name: value[None] for name, value in each.items()} for each in samples(inputs))
    outputs = [ends[number] if number in ends else run(each) for number, each in enumerate(rest)]
    return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}


def _together(run, inputs, count):
    """The same of some samples at once; None where the model does not take or give as many."""
    parts, size = [], batch_size(inputs)
    for start in range(0, count, size):
        try:
            parts.append(run({name: value[start : start + size] for name, value in inputs.items()}))
        except Exception:  # a batch of 1 is all that it promised
            return None
    made = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return made if all(len(value) == count for value in made.values()) else None


def _same(one, other):
    """Whether two outputs are equal but for the rounding of other kernels."""
    if not np.issubdtype(one.dtype, np.floating):
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=1e-5, atol=1e-6 * float(np.abs(other).max(initial=0)), equal_nan=True))


def samples(arrays: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """One sample at a time of arrays (n, ...) by name."""
    for number in range(len(next(iter(arrays.values())))):
        yield {name: values[number] for name, values in arrays.items()}


def _output_ports(model):
    """The model's outputs by name: as a Keras graph says them, else by one run on noise."""
    made = getattr(model.callable, "outputs", None) or ()
    # A dict's outputs are called by its keys, whatever their order.
    in_order = len(made) == 1 or (made and isinstance(model.callable.output, list))
    if in_order and all(None not in tensor.shape[1:] for tensor in made):
        shapes = {name: (tensor.shape, str(tensor.dtype)) for name, tensor in zip(model.outputs, made, strict=True)}
    else:
        ran = model.run(some_inputs(model.inputs, 1))
        shapes = {name: (values.shape, values.dtype.name) for name, values in ran.items()}
    return {name: Port(name=name, shape=[1, *shape[1:]], dtype=dtype) for name, (shape, dtype) in shapes.items()}


def check_tasks(context: ExportContext) -> None:
    """Do the tasks fit the outputs, and the dataset the tasks? Before anything else is done.

    Raises:
        TfeffError: no; or a gate on a metric where there is none.
    """
    model, request = context.model, context.request
    outputs = _output_ports(model)
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
    """The largest difference of outputs to what they should be, and over the largest output of the same port: of the
    port where that is largest.

    Attributes:
        allowed: what `relative_error` may be: more than `FLOAT_TOLERANCE` where rounding alone does more.
        of_logits: the relative error of the logits behind a port's probabilities, where that was judged in its place.
    """

    max_abs_error: float
    relative_error: float
    allowed: float = FLOAT_TOLERANCE
    of_logits: float | None = None


def prove_copy(context: ExportContext, reference: Reference) -> FloatError | None:
    """That the copy computes what the model does that was brought, but for rounding: of its own floating point where
    the copy is in float32, of other kernels where it was rebuilt from a file. None where there is no copy.

    Raises:
        TfeffError: it does not.
    """
    if reference.brought is None:
        return None
    if not hasattr(context.model.brought, "layers"):
        return _judged(context, f"its copy ({context.model.copied})", reference, reference.outputs, reference.brought)
    from tfeff.export.rewrites.float32 import coarsest, rounding

    dtype = coarsest(context.model.brought) or "float32"
    floors, found = _floors(context, reference, rounding(dtype)), []
    for name, wanted in reference.brought.items():
        if np.issubdtype(wanted.dtype, np.floating):
            allowed = max(FLOORS * rounding(dtype), FLOORS * floors[name])
            error, relative = _error(reference.outputs[name], wanted)
            if not relative <= allowed:
                raise TfeffError(
                    f"computed in float32, {context.model.network} differs from itself in {dtype}, output {name}, by "
                    f"{relative:.1e} of its largest output ({allowed:.1e} is allowed)",
                    f"see whether it yields NaN or infinity in {dtype} on these inputs",
                )
            found.append(FloatError(error, relative, allowed))
    return max(found, key=lambda each: each.relative_error, default=FloatError(0.0, 0.0))


def prove_float(context: ExportContext, twin: Path, reference: Reference) -> FloatError:
    """That the float file computes what the model computes: the first link of the chain to the quantized file.

    A port may differ by `FLOAT_TOLERANCE` of its largest value, or of its largest logit where it gives probabilities;
    by more only where rounding alone moves the network's outputs by a tenth of that.

    Raises:
        TfeffError: it does not.
    """
    runner = Runner(twin, isolated=False)
    made = [runner(each) for each in samples(reference.inputs)]
    given = {name: np.stack([each[name] for each in made]) for name in reference.outputs}
    return _judged(context, "the float file", reference, given, reference.outputs)


def _judged(context, what, reference, given, expected):
    """How far outputs are from what was expected, by name; TfeffError where `what` made others."""
    found = []
    floors: Mapping[str, float] | None = None
    for name, wanted in expected.items():
        values = given[name].reshape(wanted.shape)
        if not np.issubdtype(wanted.dtype, np.floating):
            share = float(np.mean(values != wanted))
            if share > INTEGER_TOLERANCE:
                _differs(
                    context, what, name, f"in {100 * share:.1f} % of its numbers", f"{100 * INTEGER_TOLERANCE:g} %"
                )
            continue
        (error, relative), allowed, of_logits = _error(values, wanted), FLOAT_TOLERANCE, None
        if not relative <= allowed:
            of_logits = _error_of_logits(context, name, values, wanted)
        if of_logits is not None and not of_logits <= allowed:
            floors = _floors(context, reference) if floors is None else floors
            allowed, of_logits = max(allowed, FLOORS * floors[name]), None
            if not relative <= allowed:
                _differs(context, what, name, f"by {relative:.1e} of its largest output", f"{allowed:.1e}")
        found.append(FloatError(error, relative, allowed, of_logits))
    return max(found, key=lambda each: each.relative_error, default=FloatError(0.0, 0.0))


def _error(values, wanted):
    """The largest difference, and over the largest that is wanted."""
    error = float(np.abs(values.astype(np.float64) - wanted).max())
    return error, error / max(float(np.abs(wanted).max()), 1e-12)


def _error_of_logits(context, name, values, wanted):
    """The same relative error of the logits behind probabilities; infinite for a port that gives none."""
    chances = [spec for spec in context.model.tasks
               if name in spec.outputs and spec.decode.get("scores") == "probabilities"]  # fmt: skip
    if wanted.ndim > 1 and wanted.shape[-1] > 1 and (wanted >= 0).all() and np.allclose(wanted.sum(-1), 1, atol=1e-3):
        one, other = (np.log(np.maximum(each.astype(np.float64), _LEAST)) for each in (values, wanted))
        one, other = (each - each.mean(-1, keepdims=True) for each in (one, other))
    elif chances:
        one, other = (np.clip(each.astype(np.float64), _NEAR, 1 - _NEAR) for each in (values, wanted))
        one, other = (np.log(each / (1 - each)) for each in (one, other))
    else:
        return np.inf
    return _error(one, other)[1]


def _floors(context, reference, noise=NOISE):
    """What noise in the inputs does to each output of the float32 model, by name; see `rewrites.proving`."""
    outputs = list(reference.outputs.values())

    def run(moved):
        made = _each(context.model.run_copy, moved)
        return [made[name] for name in reference.outputs]

    return dict(zip(reference.outputs, measure_floors(run, reference.inputs, outputs, noise), strict=True))


def _differs(context, what, name, by, allowed):
    of = f", output {name}," if len(context.model.outputs) > 1 else ""
    raise TfeffError(
        f"{what} differs from {context.model.network}{of} {by} ({allowed} is allowed)",
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


def ends(context: ExportContext, file: Path, reference: Reference) -> list[PortAgreement]:
    """How far each output of the finished file is from the model as it was brought: the two ends of the chain."""
    from msgspec.structs import replace

    runner = Runner(file)
    wanted = reference.outputs if reference.brought is None else reference.brought
    distances = [PortDistance(name) for name in wanted]
    same: dict[str, list[bool]] = {name: [] for name in wanted}
    for feed, expected in zip(samples(reference.inputs), samples(wanted), strict=True):
        given = runner(feed)
        for distance in distances:
            distance.add(expected[distance.name], given[distance.name])
        for spec in context.model.tasks:
            task = get_task(spec.name)
            answers = (task.decode({name: each[name] for name in spec.outputs}, spec) for each in (expected, given))
            if (alike := task.same_answer(*answers)) is not None:
                for name in spec.outputs:
                    same[name].append(alike)
    found = [distance.agreement("model", reference.source) for distance in distances]
    return [replace(each, same_answers=float(np.mean(same[each.name])) if same[each.name] else None) for each in found]
