"""What `tfeff qat` does once the network is loaded, by either engine; both end in an artifact."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfeff.data import Dataset
from tfeff.errors import TfeffError
from tfeff.export import Export, Model, Progress, QuantizedFile, Request, Trained, TrainedGraph, export_model
from tfeff.export.placing import scratch
from tfeff.export.targets import get_target
from tfeff.files import written_whole

TFMOT_LEARNING_RATE = 2e-4  # of --engine tfmot, where none is given


@dataclass(frozen=True)
class Files:
    """Where things go and come from.

    Attributes:
        artifact: the `.tflite` to write.
        save: the `.keras` for the trained fake-quant network, None for none.
        resume: the `.keras` to begin with, None for the network and calibration images.
    """

    artifact: Path
    save: Path | None = None
    resume: Path | None = None


@dataclass(frozen=True)
class Run:
    """What is trained, and on what.

    Attributes:
        model: what is exported.
        dataset: training samples.
        request: how it is exported; int8.
        files: where things go and come from.
        train_ranges: whether ranges are trained; None: unless they come from `minmax`.
        command: the command line, for the record.
        progress: called with (step, done, total).
    """

    model: Model
    dataset: Dataset
    request: Request
    files: Files
    train_ranges: bool | None
    command: str
    progress: Progress

    def export(self, trained: Trained, notes: tuple[str, ...] = ()) -> Export:
        """Exports what training brought; `notes` are for the record."""
        request = replace(self.request, method=None, ranges=(), samples=None)  # it has its ranges
        model = replace(self.model, notes=(*self.model.notes, *notes))
        return export_model(
            model, self.files.artifact, request, trained=trained, command=self.command, progress=self.progress
        )


def by_tfeff(run: Run, options: Mapping[str, Any], report: Callable[[dict[str, Any]], None]) -> Export:
    """Trains the fake-quant graph and exports it.

    Args:
        options: of `tfeff.training.qat.Recipe`.
        report: as of `train_quantized`.
    """
    import tensorflow as tf

    from tfeff.training.qat import Recipe, Teacher, train_quantized

    if not run.model.is_keras:
        raise TfeffError(f"{run.model.network}: only a Keras model can be trained", "give a .keras file")
    tf.config.experimental.enable_op_determinism()  # the same command gives the same weights
    recipe = Recipe(**options)
    with scratch(run.files.artifact) as folder:
        if run.files.resume is not None:
            graph, calibration = _resumed(run), None
        else:
            graph, calibration = _begun(run, folder)

    def keep(graph):
        if run.files.save is not None:
            _save(graph, run.files.save, run.request.force or run.files.save == run.files.resume)

    keep(graph)
    teacher = Teacher(run.model.callable, run.model.inputs, run.model.outputs, run.model.tasks)
    training = train_quantized(
        graph, teacher, run.dataset, recipe, report=report, keep=keep,
        progress=lambda done, total: run.progress("training", done, total),
    )  # fmt: skip
    resumed = run.files.resume and run.files.resume.name
    notes: tuple[str, ...] = ()
    if training["best_epoch"] == 0:
        notes = ("training never made it better on held-out samples: this is the network as it was quantized before",)
    told = {"engine": "tfeff", **training, "resumed": resumed}
    return run.export(TrainedGraph(graph, training=told, calibration=calibration), notes)


def _begun(run, folder):
    """The fake-quant graph with ranges, and the record's `calibration`."""
    from tfeff.export.quantize.aware import aware_graph
    from tfeff.export.quantize.measuring import GraphOptions, Search, gate_audit, train_ranges_by

    request = run.request
    search = Search.of(request.method, request.ranges, request.seed, run.progress)
    options = GraphOptions(
        target=request.target, per_tensor=request.per_tensor, required=True,
        train_ranges=train_ranges_by(request.method, run.train_ranges),
    )  # fmt: skip
    graph, measured = aware_graph(run.model, request.calibration, folder, search, options, samples=request.samples)
    gate_audit(measured.calibration, request.allow_audit)
    return graph, measured.calibration.record()


def _resumed(run):
    """The saved graph, checked to be of this model and target."""
    from tfeff.export import steps
    from tfeff.export.loading import read_keras
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.quantize.simulation import is_fake_quant, points
    from tfeff.export.targets import get_target

    path, model = run.files.resume, run.model
    graph = read_keras(path)
    if not is_fake_quant(graph):
        raise TfeffError(f"{path}: is no fake-quant network", "give the file that --save wrote")
    noise = steps.some_inputs(model.inputs)
    rewritten = steps.rewrite(model, get_target(run.request.target).rewrites, noise)
    fresh = fake_quant_graph(rewritten.callable, [port.name for port in model.inputs])
    same = [*points(graph)] == [*points(fresh)]
    if not same or [v.shape for v in graph.weights] != [v.shape for v in fresh.weights]:
        raise TfeffError(
            f"{path}: is not the fake-quant network of {model.network} for {run.request.target}",
            "give the network and the --target that it was made of",
        )
    return graph


def _save(graph, path, force):
    """Saves it whole or not at all."""
    with written_whole(path, force=force, mend="choose another --save") as part:
        graph.save(part)


def by_tfmot(run: Run, options: Mapping[str, Any]) -> Export:
    """Lets tfmot train, and makes an artifact of the file that it leaves."""
    from tfeff.compress.tfmot import Training, check_model, read_samples, tfmot_qat

    request, dataset, epochs = run.request, run.dataset, options["epochs"]
    check_model(run.model)
    target = get_target(request.target)
    told = {key: options[key] for key in ("batch_size", "learning_rate", "seed") if key in options}
    told |= {"steps": options["steps"] * epochs} if "steps" in options else {"epochs": epochs}
    with scratch(run.files.artifact) as folder:
        images, labels = read_samples(
            dataset, run.model.inputs, folder / "training.npy",
            progress=lambda done, total: run.progress("reading", done, total),
        )  # fmt: skip
        made = tfmot_qat(
            run.model, Training(images, labels, **{"learning_rate": TFMOT_LEARNING_RATE, **told}), folder=folder,
            target=target.name, io=request.io or target.io or "int8", progress=run.progress,
        )  # fmt: skip
        training = {"engine": "tfmot", "dataset": dataset.name, "images": len(dataset), "epochs": epochs, **told,
                    **made.as_dict()}  # fmt: skip
        return run.export(QuantizedFile(made.path, training))
