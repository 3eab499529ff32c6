"""Where an int8 file loses accuracy: every layer's values looked at, and switched to float alone."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tfeff.artifact import Artifact, check_tflite, open_artifact, read_record, record_path
from tfeff.compare.grid import check_grids
from tfeff.compare.ports import decibels
from tfeff.compare.runner import RUNTIME, runtime_version
from tfeff.data import Pixels
from tfeff.debug.counterparts import find_counterparts
from tfeff.debug.file import LayeredFile
from tfeff.debug.layer_values import Counterparts, Figures, layer_figures
from tfeff.debug.layers import Layer, find_layers
from tfeff.debug.outputs import Reference, check_finite, error_share, find_agreement, port_agreements
from tfeff.debug.result import Agreement, Constants, DebugResult, LayerError
from tfeff.debug.running import Running
from tfeff.debug.samples import NOISE, Outputs, Sample, find_ports, load_samples, real_outputs, values
from tfeff.debug.simulation import Alone, Simulation
from tfeff.debug.twin import Twin, find_twin
from tfeff.debug.unsimulated import simulate
from tfeff.debug.weights import find_exact, quantized_constants
from tfeff.errors import TfeffError
from tfeff.tflite.entry import which_runs
from tfeff.tflite.file import DAMAGE
from tfeff.tflite.part import WHOLE, PartOptions

_SAME_FUNCTION_DB = 40.0  # the float file against the simulation in float: above it they are the same network
_NAMING_SAMPLES = 4

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """How a file is debugged.

    Attributes:
        seed: of the choice of samples.
        threads: layers that are switched side by side.
        pixels: preprocessing where no record says it.
        allow_audit: whether samples that do not lie on the file's input grids are only said.
        part: the signature that is debugged, and the sizes that the files leave open.
    """

    seed: int = 0
    threads: int = 1
    pixels: Pixels = field(default_factory=Pixels)
    allow_audit: bool = False
    part: PartOptions = WHOLE


def debug(
    path: str | Path,
    *,
    float_file: str | Path | None = None,
    images: str | None = None,
    samples: int = 64,
    output: str | None = None,
    options: Options | None = None,
    progress: Progress = lambda step, done, total: None,
) -> DebugResult:
    """Finds where a statically quantized `.tflite` file departs from float, layer by layer.

    The file is simulated in float, operation by operation, each value put on its tensor's grid; one layer at a time is
    then left off its grids, with its weights as they were before quantization where the float file tells. Operations in
    float between are taken as they are, and so are those that cannot be written in float; a note names these.

    Args:
        path: the int8 (uint8, int16) file, or its record; any inputs and outputs of a batch of 1.
        float_file: the same network in float32; None takes the record's twin.
        images: what the inputs are: a dataset's name, a folder or an `.npz` (8-bit images, or arrays that are inputs
            already, one an input by name); None takes what the record names.
        samples: how many, a seeded choice; they and the outputs are kept in memory.
        output: the output port that shares of the error are of; None for all together.
        options: the rest.
        progress: called with (step, done, total).

    Raises:
        TfeffError: a file that cannot be debugged (float, dynamic-range, open sizes, no runtime for it), files that do
            not fit each other, or samples that are missing or do not fit.
        GateFailed: samples that do not lie on the grids of the file's inputs.
    """
    options = options or Options()
    try:
        return _debug(_open(Path(path)), float_file, images, samples, output, options, progress)
    except (*DAMAGE, RecursionError, ZeroDivisionError) as error:  # a graph that no rule of `check_file` foresaw
        mend = f"give a file that a converter wrote; `tfeff check {path} --target litert` tells whether LiteRT loads it"
        raise TfeffError(f"{path}: its graph cannot be followed ({type(error).__name__}: {error})", mend) from None


def _debug(
    artifact: Artifact,
    float_file: str | Path | None,
    images: str | None,
    samples: int,
    output: str | None,
    options: Options,
    progress: Progress,
) -> DebugResult:
    notes = list[str]()
    file = LayeredFile(artifact.path, options.part)
    if said := which_runs(artifact.path, options.part, "debugged"):
        notes.append(said)
    _check(file)
    if output is not None and output not in (names := [port.name for port in file.output_ports]):
        raise TfeffError(f"{file.path}: has no output {output!r}", f"choose one of {', '.join(names)}")
    ports = find_ports(artifact, file, options.pixels, notes)
    source, chosen = load_samples(artifact, file, ports, images, samples, options.seed, notes)
    if source == NOISE:
        notes.append(
            "inputs are seeded noise: nothing says what the model takes (--images FILE.npz, an array an input)"
        )
    notes += check_grids(file.path, ports, file.input_ports, chosen, allow=options.allow_audit or source == NOISE)
    case = _case(artifact, file, find_twin(artifact, float_file, file, options.part, notes), chosen, notes)
    found = _examine(case, output, notes, progress)
    agreement = find_agreement(artifact, file, found.reference, found.outputs, found.simulated)
    if not agreement.agrees:
        notes.append("the simulation does not agree with the file: shares of the output error are to be doubted")
    return _result(case, found, agreement, _switch(case, found, options.threads, progress), (source, notes))


@dataclass(frozen=True)
class _Case:
    """What is debugged.

    Attributes:
        exact: constants before quantization, by tensor, as far as they are known.
        unsimulated: operations that run as they are.
    """

    artifact: Artifact
    file: LayeredFile
    twin: Twin | None
    samples: Sequence[Sample]
    exact: dict[int, np.ndarray]
    layers: list[Layer]
    simulation: Simulation
    alone: Alone
    unsimulated: frozenset[int]

    def simulate(self, floats: Sequence[int] | None) -> Iterator[Outputs]:
        """The simulation's outputs, sample by sample, with some operations in float; None for all."""
        running = Running(self.simulation.bytes_with(floats), f"{self.file.path} in float")
        for sample in self.samples:
            yield real_outputs(self.file, running.outputs(values(self.file, sample)))


@dataclass(frozen=True)
class _Found:
    """What the files give.

    Attributes:
        reference: the float file's outputs, or the simulation's in float.
        outputs, simulated: of the int8 file and of its simulation.
        float_sqnr_db: of the simulation in float against the float file.
        figures: by tensor.
        counterparts: tensors of the float file that layers are compared with.
        output: the one that counts; None for all.
    """

    reference: Reference
    outputs: list[Outputs]
    simulated: list[Outputs]
    float_sqnr_db: float | None
    figures: dict[int, Figures]
    counterparts: Counterparts
    output: str | None


def _case(
    artifact: Artifact, file: LayeredFile, twin: Twin | None, samples: Sequence[Sample], notes: list[str]
) -> _Case:
    exact = find_exact(file, twin.file) if twin else {}
    simulation, unsimulated = simulate(file, exact, values(file, samples[0]))
    if unsimulated:
        named = ", ".join(dict.fromkeys(map(file.describe, sorted(unsimulated))))
        notes.append(f"these run as they are and are in no layer, so that their own error has no share: {named}")
    if twin is None:
        notes.append("no float file: errors are counted from the file without its grids, its weights remain rounded")
    layers = find_layers(file, unsimulated)
    alone = Alone(file, exact, layers, unsimulated)
    return _Case(artifact, file, twin, samples, exact, layers, simulation, alone, unsimulated)


def _examine(case: _Case, output: str | None, notes: list[str], progress: Progress) -> _Found:
    """Runs the files; layers are compared by name where the float file is another function."""
    all_float, counterparts, float_sqnr_db = list(case.simulate(None)), Counterparts(), None
    wanted = case.twin.run(case.samples) if case.twin else all_float
    reference = Reference([{port.name: each[port.name] for port in case.file.output_ports} for each in wanted], output)
    check_finite(case.file, reference.outputs)
    if case.twin:
        apart = float(reference.errors(all_float).mean())
        float_sqnr_db = decibels(1.0, apart)
        if float_sqnr_db is not None and float_sqnr_db < _SAME_FUNCTION_DB:
            notes.append(
                "the float file and the int8 file in float are not the same function (weights that were not found, "
                f"equalized, corrected or trained further{', the above' if case.unsimulated else ''}): layers are "
                "compared by name where they have a counterpart"
            )
            counterparts = find_counterparts(
                case.file, case.twin, case.alone, case.layers, case.samples[:_NAMING_SAMPLES]
            )
    figures, outputs = layer_figures(
        case.file, case.alone, case.layers, counterparts, case.samples, lambda d, t: progress("reading layers", d, t)
    )
    return _Found(reference, outputs, list(case.simulate(())), float_sqnr_db, figures, counterparts, output)


def _open(path: Path) -> Artifact:
    """The artifact; one without a record where the .json beside it is none of ours."""
    if path.suffix == ".json":
        return open_artifact(path)
    try:
        read_record(record_path(path))
    except TfeffError:
        return Artifact(path, None, check_tflite(path))
    return open_artifact(path)


def _check(file: LayeredFile) -> None:
    """Raises TfeffError for a file whose layers cannot be seen, or that is not quantized."""
    if any(op.name.startswith("CUSTOM edgetpu") for op in file.operators):
        raise TfeffError(
            f"{file.path}: is compiled for the Edge TPU, its layers cannot be seen", "give the file before compiling"
        )
    if file.is_quantized():
        for op, tree in zip(file.operators, file.tree.operators, strict=True):
            if getattr(tree.builtinOptions, "weightsFormat", 0):
                raise TfeffError(f"{file.path}: {op.name} has shuffled weights", "give a file with plain weights")
        return
    if quantized_constants(file):
        raise TfeffError(
            f"{file.path}: is a dynamic-range file: its weights are 8-bit, its activations float",
            "give a file with int8 activations (`tfeff export NETWORK --int8`)",
        )
    raise TfeffError(f"{file.path}: is a float file, nothing in it is quantized", "give the int8 file")


def _switch(case: _Case, found: _Found, threads: int, progress: Progress) -> list[LayerError]:
    """The layers, the largest share of the outputs' error first: what of it goes with each alone in float."""
    whole, rows = found.reference.errors(found.simulated), list[LayerError]()

    def errors(layer: Layer) -> np.ndarray:
        return found.reference.errors(case.simulate(layer.switched))

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for layer, left in zip(case.layers, pool.map(errors, case.layers), strict=True):
            rows.append(_row(case, layer, found, error_share(whole, left)))
            progress("switching", len(rows), len(case.layers))
    return sorted(rows, key=lambda row: -row.error_share)


def _result(
    case: _Case, found: _Found, agreement: Agreement, layers: list[LayerError], said: tuple[str, list[str]]
) -> DebugResult:
    """`said`: where the samples are from, and notes."""
    reference, twin, (source, notes) = found.reference, case.twin, said
    own, against = reference.errors(found.outputs), "float file" if twin else "simulation"
    return DebugResult(
        file=case.artifact.path.name,
        sha256=case.artifact.sha256,
        float_file=twin.file.path.name if twin else None,
        float_sha256=twin.file.sha256 if twin else None,
        reference=against,
        images=source,
        samples=len(case.samples),
        output=found.output,
        output_sqnr_db=reference.sqnr_db(own),
        output_mse=reference.mse(own),
        ports=port_agreements(reference, found.outputs, against, source),
        simulation=replace(agreement, float_sqnr_db=found.float_sqnr_db),
        weights=Constants(len(quantized_constants(case.file)), len(case.exact)),
        layers=layers,
        notes=notes,
        runtime=RUNTIME,
        version=runtime_version(),
    )


def _row(case: _Case, layer: Layer, found: _Found, share: tuple[float, float]) -> LayerError:
    own, last = [found.figures[tensor] for tensor in layer.tensors], found.figures[layer.tensor]
    low, high = last.grid.values(np.array([last.lowest, last.highest]))
    return LayerError(
        position=layer.position,
        layer=layer.names[0],
        names=list(layer.names),
        op=layer.op,
        operations=list(layer.operations),
        tensor=case.file.name(layer.tensor),
        tensors=[case.file.name(tensor) for tensor in layer.tensors],
        scale=last.grid.scale,
        zero_point=last.grid.zero_point,
        range=(float(last.grid.low), float(last.grid.high)),
        seen=(float(low), float(high)),
        sqnr_db=decibels(last.signal, last.noise),
        local_sqnr_db=decibels(last.local_signal, last.local),
        range_use=min(each.range_use for each in own),
        clipped_share=max(each.clipped for each in own),
        error_share=share[0],
        error_share_se=share[1],
        reference="float file" if layer.tensor in found.counterparts.tensors else "simulation",
    )
