"""`--metadata`: the file says itself how it is fed and what it gives, so that MediaPipe Tasks read it."""

from dataclasses import replace

import msgspec
import numpy as np

from tfeff.artifact import check_tflite
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export.context import ExportContext
from tfeff.export.making import Made
from tfeff.record.schema import Accuracy, TaskSpec
from tfeff.tasks import get_task
from tfeff.tflite.meant import Meant
from tfeff.tflite.metadata import Description, ImageInput, with_metadata

_DOORS = ("uint8", "float32")  # that MediaPipe feeds
_OFF = 0.51  # steps that a uint8 input may be off its pixels


def check_metadata(context: ExportContext) -> None:
    """Raises TfeffError where `--metadata` is asked for of what MediaPipe has no task for, or cannot feed."""
    if context.request.metadata:
        _described(context)


def describe(context: ExportContext, made: Made, accuracy: list[Accuracy]) -> tuple[Made, list[Accuracy]]:
    """What was made with metadata in the file, and its accuracy, which is that of the same operations and constants.

    Raises:
        TfeffError: its uint8 input is not the image's pixels.
    """
    image, meant, task = _described(context)
    runner = Runner(made.file, isolated=False)
    (door,) = runner.inputs
    if door.dtype == np.uint8:
        _check_pixels(context, image, door.scale, door.zero_point)
    outputs = dict(zip(context.model.outputs, meant, strict=True))
    labels = task.labels or [f"class {number}" for number in range(_classes(task, runner))]
    description = Description(
        context.model.name, f"{task.name}, exported by tfeff", image, tuple(outputs[port.name] for port in runner.outputs),
        tuple(labels),
    )  # fmt: skip
    folder = context.folder / "described"
    folder.mkdir()
    file = folder / made.file.name
    file.write_bytes(with_metadata(made.file.read_bytes(), description, made.file))
    sha256 = check_tflite(file)
    told = [msgspec.structs.replace(each, quantized_sha256=sha256) for each in accuracy]
    return replace(made, file=file), told


def _described(context: ExportContext) -> tuple[ImageInput, tuple[Meant, ...], TaskSpec]:
    """What the file takes, what its outputs are, and its task."""
    model, request = context.model, context.request
    if len(model.tasks) != 1 or len(model.inputs) != 1 or model.inputs[0].preprocessing is None:
        raise TfeffError(
            f"--metadata: MediaPipe has tasks of one image, {model.network} takes or gives something else",
            "leave it out: the record says all of it",
        )
    (task,), preprocessing = model.tasks, model.inputs[0].preprocessing
    if context.io not in _DOORS:
        raise TfeffError(
            f"--metadata: MediaPipe feeds uint8 or float32, this file takes {context.io}",
            "give --io uint8 or --io float32",
        )
    if preprocessing.colour == "bgr":
        raise TfeffError("--metadata: MediaPipe feeds rgb or gray, this file takes bgr", "leave it out")
    task = get_task(task.name).suppression(task).task if request.with_nms else task
    channels = preprocessing.shape[-1]
    mean, std = ((*values,) * (channels if len(values) == 1 else 1) for values in (preprocessing.mean, preprocessing.std))
    return ImageInput(preprocessing.colour, mean, std), get_task(task.name).meant(task), task


def _check_pixels(context, image, scale, zero_point):
    """MediaPipe gives a uint8 input the pixels as they are, whatever mean and deviation are."""
    for mean, std in zip(image.mean, image.std, strict=True):
        off = [abs((pixel - mean) / std / scale + zero_point - pixel) for pixel in (0, 255)]
        if max(off) > _OFF:
            raise TfeffError(
                f"--metadata: MediaPipe feeds pixels to a uint8 input, that of {context.model.network} is {max(off):.1f} "
                "steps off them",
                "give --io float32: it is then fed by mean and deviation",
            )


def _classes(task, runner):
    """How many there are, of a task without labels."""
    given = task.decode.get("classes")
    return int(given) if given else int(np.prod(runner.outputs[0].sample))
