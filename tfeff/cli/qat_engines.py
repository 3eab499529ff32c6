"""What `tfeff qat` does once the network is loaded, by either engine; both end in an artifact."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError


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


def by_tfeff(subject, dataset, request, files: Files, options, *, train_ranges, report, command, progress):
    """Trains the fake-quant graph and exports it.

    Args:
        options: of `tfeff.training.qat.Recipe`.
        report, progress: as of `train_quantized` and `export_model`.
    """
    import tensorflow as tf

    from tfeff.export import export_model
    from tfeff.export.placing import scratch
    from tfeff.training.qat import Recipe, train_quantized

    tf.config.experimental.enable_op_determinism()  # the same command gives the same weights
    recipe = Recipe(**options)
    with scratch(files.artifact) as folder:
        if files.resume is not None:
            graph, calibration = _resumed(subject, request, files.resume), None
        else:
            graph, calibration = _begun(subject, request, folder, train_ranges, progress)

    def keep(graph):
        if files.save is not None:
            _save(graph, files.save)

    keep(graph)
    training = train_quantized(
        graph, subject.model, dataset, subject.preprocessing, recipe, report=report, keep=keep,
        progress=lambda done, total: progress("training", done, total),
    )  # fmt: skip
    training = {
        "engine": "tfeff",
        **training,
        "resumed": files.resume and files.resume.name,
        "calibration": calibration,
    }
    if training["best_epoch"] == 0:
        note = "training never made it better on held-out images: this is the network as it was quantized before"
        subject = replace(subject, notes=(*subject.notes, note))
    request = replace(request, method=None, ranges=(), samples=None)  # the graph has its ranges
    return export_model(
        subject, files.artifact, request, trained=graph, training=training, command=command, progress=progress
    )


def _begun(subject, request, folder, train_ranges, progress):
    """The fake-quant graph with ranges, and the record's `calibration` entry."""
    from tfeff.export.quantize.aware import aware_graph
    from tfeff.export.quantize.measuring import gate_audit, train_ranges_by

    graph, measured = aware_graph(
        subject, request.calibration, folder, target=request.target, method=request.method, rules=request.ranges,
        samples=request.samples, per_tensor=request.per_tensor, seed=request.seed, progress=progress,
        train_ranges=train_ranges_by(request.method, train_ranges),
    )  # fmt: skip
    gate_audit(measured.calibration, request.allow_audit)
    return graph, measured.calibration.as_dict()


def _resumed(subject, request, path):
    """The saved graph, checked to be of this network and target."""
    import keras

    from tfeff.export import steps
    from tfeff.export.quantize.graph import fake_quant_graph
    from tfeff.export.quantize.simulation import is_fake_quant, points
    from tfeff.export.targets import get_target

    try:
        graph = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras has no type of its own for unreadable files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise TfeffError(f"{path}: cannot be loaded ({reason})", "give the file that --save wrote") from None
    if not is_fake_quant(graph):
        raise TfeffError(f"{path}: is no fake-quant network", "give the file that --save wrote")
    noise = steps.some_inputs(subject.preprocessing.shape)
    model, _, _ = steps.rewrite(subject, get_target(request.target).rewrites, noise)
    fresh = fake_quant_graph(model)
    same = [*points(graph)] == [*points(fresh)]
    if not same or [v.shape for v in graph.weights] != [v.shape for v in fresh.weights]:
        raise TfeffError(
            f"{path}: is not the fake-quant network of {subject.network} for {request.target}",
            "give the network and the --target that it was made of",
        )
    return graph


def _save(graph, path):
    """Saves it whole or not at all."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.keras")
    try:
        graph.save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise TfeffError(f"{path}: cannot be written ({error.strerror})", "choose another --save") from None
    finally:
        temporary.unlink(missing_ok=True)


def by_tfmot(subject, dataset, request, files: Files, options, *, train_ranges, command, progress):
    """Lets tfmot train, and makes an artifact of the file that it leaves."""
    from tfeff.compress.tfmot import tfmot_qat
    from tfeff.export import export_model
    from tfeff.export.placing import scratch
    from tfeff.export.targets import get_target

    target, epochs = get_target(request.target), options["epochs"]
    told = {key: options[key] for key in ("batch_size", "learning_rate", "seed") if key in options}
    told |= {"steps": options["steps"] * epochs} if "steps" in options else {"epochs": epochs}
    with scratch(files.artifact) as folder:
        images = _preprocessed(dataset, subject.preprocessing, folder / "training.npy", progress)
        made = tfmot_qat(
            subject, images, dataset.labels, folder=folder, target=target.name, io=request.io or target.io or "int8",
            progress=progress, **told,
        )  # fmt: skip
        training = {"engine": "tfmot", "dataset": dataset.name, "images": len(dataset), "epochs": epochs, **told,
                    **made.as_dict()}  # fmt: skip
        return export_model(
            subject, files.artifact, request, trained=made.path, training=training, command=command, progress=progress
        )


def _preprocessed(dataset, preprocessing, path, progress):
    """The training images as inputs, in a file: float32 (n, h, w, c)."""
    inputs = np.lib.format.open_memmap(path, "w+", np.float32, (len(dataset), *preprocessing.shape))
    for number in range(len(dataset)):
        inputs[number] = preprocessing(dataset.image(number))
        progress("reading", number + 1, len(dataset))
    return inputs
