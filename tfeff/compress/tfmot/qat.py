"""Quantization-aware training by tfmot: rewrite, bridge, train in a process of its own, convert, check the file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins

from tfeff.compress.tfmot import bridge, process
from tfeff.compress.tfmot.placement import place
from tfeff.compress.tfmot.plan import Plan, Refusal
from tfeff.compress.tfmot.samples import Training, check_model, tfmot_versions
from tfeff.errors import GateFailed, TfeffError
from tfeff.export import quantize, steps
from tfeff.export.context import Progress, no_progress
from tfeff.export.model import Model
from tfeff.export.recording import rewrites_part
from tfeff.export.targets import get_target
from tfeff.tflite.graph import describe_operations, read_graph

# Behind a target's own: tfmot trains weights as the file holds them, and has nothing for a normalization by itself.
FOLD = "batch_norm:fold"


@dataclass(frozen=True)
class TfmotQat:
    """What came of `tfmot_qat`.

    Attributes:
        path: the int8 `.tflite`: signature `serving_default`, with the model's names.
        steps: of training that were done.
        losses: mean loss of each tenth of them.
        bridge_error: largest difference of the network in tf_keras to that in Keras 3, over the largest output.
        rewrites: what was rewritten first, as the record has it.
        operations: of the file, as the record has it.
        quantize_operations: QUANTIZE and DEQUANTIZE inside of the file, which cost time: 0 where all ranges agree.
        versions: of tfmot and tf_keras.
    """

    path: Path
    steps: int
    losses: list[float]
    bridge_error: float
    rewrites: list[dict[str, Any]]
    operations: dict[str, Any]
    quantize_operations: int
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For a record."""
        return {**asdict(self), "path": self.path.name}


def refusals(model: Model, images: np.ndarray, target: str = "litert") -> list[Refusal]:
    """What `tfmot_qat` would refuse of a network, layer by layer; nothing is trained.

    Args:
        model: a Keras network.
        images: float32 (n, h, w, c), preprocessed, on which the rewrites are proven.
        target: whose rewrites it gets first.
    """
    rewritten = _rewritten(model, target, images[: steps.PROOF_SAMPLES])
    from tfeff.compress.tfmot.drawing import draw

    return _refused(draw(rewritten.callable))


def tfmot_qat(
    model: Model,
    training: Training,
    *,
    folder: Path,
    target: str = "litert",
    io: str = "int8",
    progress: Progress = no_progress,
) -> TfmotQat:
    """Quantization-aware training of a Keras 3 network by tensorflow-model-optimization, to an int8 file.

    The network gets the rewrites of the target and its batch normalization folded, is rebuilt in tf_keras with equal
    weights (proven on 16 of the images), and trained there by `fit` with tfmot's wrappers around every layer: Adam, the
    learning rate on a cosine down to 0, cross-entropy on the labels. Weights are quantized by the value they have
    (symmetric; a scale a channel, but for fully connected layers), activations by moving averages that begin at the
    ranges of 512 of the images, one range for all tensors that must have one scale. The converter is given no images.
    Everything of tf_keras happens in a process of its own.

    Args:
        model: the network; is not changed.
        training: what on, and how; 0 steps only find the ranges. The same call in a new process gives the same file.
        folder: where the file goes, `<name>.tfmot.tflite`, and what is only needed meanwhile.
        target: whose rewrites the network gets.
        io: dtype of input and output: "int8", "uint8" or "float32".
        progress: called with (step, done, total).

    Returns:
        The file, and what was found on the way.

    Raises:
        TfeffError: tfmot is not installed, images or labels that do not fit, layers that cannot be rebuilt in tf_keras
            or quantized by tfmot (all are named, with the reason), or a loss that is no number.
        GateFailed: operations were left in float; the file is removed.
    """
    task = prepare(model, training, folder=folder, target=target, io=io, progress=progress)
    return finish(task, process.run(task, Path(folder), progress))


def prepare(
    model: Model,
    training: Training,
    *,
    folder: Path,
    target: str = "litert",
    io: str = "int8",
    progress: Progress = no_progress,
) -> process.Task:
    """The first half of `tfmot_qat`, with its arguments: all that the child has to be told."""
    process.check_installed()
    quantize.check_io(quantize.PRECISIONS["int8"], io)
    training.count()
    training.check(model)
    proof = np.asarray(training.images[:_PROOF], np.float32)
    progress("rewriting", 0, 0)
    rewritten = _rewritten(model, target, proof)
    from tfeff.compress.tfmot.drawing import draw

    plan = draw(rewritten.callable)
    if refused := _refused(plan):
        raise TfeffError(
            f"tfmot cannot train {model.network} for {target}: {bridge.listed(refused)}",
            "train it with --engine tfeff, or replace these layers",
        )
    path = Path(folder) / f"{model.name}.tfmot.tflite"
    preprocessing = model.inputs[0].preprocessing
    assert preprocessing is not None  # checked: it is an image
    ends = [preprocessing.normalize(np.full(preprocessing.shape, v, np.uint8)) for v in (0, 255)]
    request = {
        **training.request(),
        "io": io,
        "input_range": [float(ends[0].min()), float(ends[1].max())],
        "path": path.resolve(),
        "rewrites": to_builtins(rewrites_part(rewritten, get_target(target))),
        "input": model.inputs[0].name,
        "output": model.outputs[0],
    }
    return process.Task("qat", plan, rewritten.callable, proof, request)


def finish(task: process.Task, answer: dict[str, Any]) -> TfmotQat:
    """The second half of `tfmot_qat`: looks into the file. Raises GateFailed for operations left in float."""
    path = task.request["path"]
    graph = read_graph(path)
    if left := graph.float_operations():
        path.unlink()
        raise GateFailed(
            f"tfmot left {len(left)} of {len(graph.operations)} operations in float: "
            f"{'; '.join(op.label for op in left[:10])}",
            "train it with --engine tfeff, or replace these layers",
        )
    door = {tensor.index for tensor in (*graph.inputs, *graph.outputs)}
    inside = [
        op
        for op in graph.operations
        if op.name in ("QUANTIZE", "DEQUANTIZE") and not door & {t.index for t in (*op.inputs, *op.outputs)}
    ]
    return TfmotQat(
        path=path,
        steps=task.request["steps"],
        losses=answer["losses"],
        bridge_error=answer["relative_error"],
        rewrites=task.request["rewrites"],
        operations=describe_operations(graph),
        quantize_operations=len(inside),
        versions=tfmot_versions(),
    )


_PROOF = steps.PROOF_SAMPLES


def _rewritten(model, target, images) -> steps.Rewritten:
    """The network as it is rebuilt."""
    check_model(model)
    proof = {model.inputs[0].name: images}
    rewritten = steps.rewrite(model, (*get_target(target).rewrites, FOLD), proof)
    if rewritten.refused:
        raise TfeffError(f"{model.network} cannot be rewritten for tfmot: {rewritten.refused}")
    return rewritten


def _refused(plan: Plan) -> list[Refusal]:
    if plan.refusals:
        return plan.refusals
    _, _, refused = place(plan.as_dict())
    return [Refusal(node["name"], node["class"], why) for node, why in refused]
