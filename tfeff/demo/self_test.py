"""What the app's self-test compares with: a picture, and the bytes that this machine computed for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from tfeff.artifact import Artifact
from tfeff.compare.runner import FilePort, Runner, runtime_version
from tfeff.data import Preprocessing, open_dataset
from tfeff.data.images import read_image
from tfeff.data.preprocessing import from_record
from tfeff.errors import TfeffError
from tfeff.record.schema import Port, Record, TaskSpec
from tfeff.tasks import get_task

INPUT_DTYPES = ("int8", "uint8", "float32")
OUTPUT_DTYPES = (*INPUT_DTYPES, "int32", "int64")
# Between two families of kernels (XNNPACK, the built-in ones; x86, ARM) int8 outputs differ by up to 5 steps.
MAX_STEPS = 5


@dataclass(frozen=True)
class SelfTest:
    """The two files of a model's self-test.

    Attributes:
        picture: a PNG file.
        expected: the JSON: sha256 of the model, `input_hex`, `output_hex` by output, `max_steps`, `runtime`, `answers`.
        answer: what the file says of the picture, in words: the first line of every task.
    """

    picture: bytes
    expected: bytes
    answer: str


@dataclass(frozen=True)
class _Opened:
    """A file that the app can run.

    Attributes:
        runner: the file.
        outputs: its ports, by the names in its record.
        preprocessing: of its image.
        tasks: what the outputs mean.
    """

    runner: Runner
    outputs: Mapping[str, FilePort]
    preprocessing: Preprocessing
    tasks: list[TaskSpec]


def make_self_test(artifact: Artifact, image: Path | None) -> SelfTest:
    """Runs an artifact on a picture: `image`, or one of our own.

    Raises:
        TfeffError: the app cannot run the file, or its record does not fit it; an image that cannot be read.
    """
    opened = _open(artifact)
    pixels = read_image(image) if image else _own_picture(artifact)
    real = opened.preprocessing(pixels)
    found = opened.runner(real)
    outputs = {name: found[port.name] for name, port in opened.outputs.items()}
    answers = []
    for spec in opened.tasks:
        task = get_task(spec.name)
        prediction = task.in_image(task.decode(outputs, spec), opened.preprocessing.placement(*pixels.shape[:2]))
        picture = task.draw(pixels, prediction, spec)
        answers.append([text for text, _ in picture.lines])
    expected = {
        "sha256": artifact.sha256,
        "input_hex": opened.runner.inputs[0].store(real).tobytes().hex(),
        # `runner` gives real numbers; going back to the stored ones is exact
        "output_hex": {name: port.store(outputs[name]).tobytes().hex() for name, port in opened.outputs.items()},
        "max_steps": MAX_STEPS,
        "runtime": f"ai-edge-litert {runtime_version()}",
        "answers": answers,
        "tall_first": int(PIL.__version__.partition(".")[0]) >= 13,  # the order of the axes, see Resize.java
    }
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    answer = "; ".join(lines[0] for lines in answers if lines)
    return SelfTest(png.getvalue(), (json.dumps(expected, indent=1) + "\n").encode(), answer)


def _open(artifact: Artifact) -> _Opened:
    """Refuses what the app would refuse, in the same words where it can."""
    path, record = artifact.path, artifact.record
    if record is None:
        raise TfeffError(
            f"{path}: has no record; the app reads size, preprocessing and labels from it", "make it by `tfeff export`"
        )
    preprocessing = _preprocessing(path, record)
    runner = Runner(path)
    _matched(path, "input", record.inputs, runner.inputs, INPUT_DTYPES)
    outputs = _matched(path, "output", record.outputs, runner.outputs, OUTPUT_DTYPES)
    tasks = record.tasks or [TaskSpec(name="tensors", outputs=list(outputs))]
    ports = {port.name: port for port in record.outputs}
    for spec in tasks:
        try:
            get_task(spec.name).check(spec, [ports[name] for name in spec.outputs])
        except TfeffError as error:
            raise TfeffError(f"{path}: {error.what}", error.mend) from None
    return _Opened(runner, outputs, preprocessing, tasks)


def _preprocessing(path: Path, record: Record) -> Preprocessing:
    """Of the one image that the model takes."""
    takes = "the app runs models that take one image"
    if not record.inputs:
        raise TfeffError(f"{path}: its record says nothing of its inputs", "export it anew")
    if len(record.inputs) > 1:
        names = ", ".join(port.name for port in record.inputs)
        raise TfeffError(
            f"{path}: has {len(record.inputs)} inputs ({names}); {takes}", "`tfeff bench --on adb` times it"
        )
    (image,) = record.inputs
    try:
        preprocessing = from_record(image.preprocessing)
    except TfeffError as error:
        raise TfeffError(f"{path}: {error.what}", "export it anew, with its preprocessing") from None
    if preprocessing is None:
        raise TfeffError(
            f"{path}: its record has no preprocessing for {image.name} {image.shape}; {takes}",
            "export it with its preprocessing, or time it: `tfeff bench --on adb`",
        )
    if [1, *preprocessing.shape] != image.shape:
        raise TfeffError(
            f"{path}: takes images of {image.shape[1:]}, its preprocessing gives {list(preprocessing.shape)}",
            "export it anew",
        )
    return preprocessing


def _matched(
    path: Path, side: str, said: list[Port], found: tuple[FilePort, ...], dtypes: tuple[str, ...]
) -> dict[str, FilePort]:
    """The file's ports by the record's names; of a file with one port its name does not matter, for old records gave
    names of their own."""
    if not said:
        raise TfeffError(f"{path}: its record says nothing of its {side}s", "export it anew")
    by_name = {port.name: port for port in found}
    if len(said) == len(found) == 1:
        by_name = {said[0].name: found[0]}
    if by_name.keys() != {port.name for port in said}:
        raise TfeffError(
            f"{path}: {side}s: the record says {', '.join(port.name for port in said)}, the file has "
            f"{', '.join(port.name for port in found)}",
            "export it anew",
        )
    for port in said:
        there = by_name[port.name]
        if there.dtype.name not in dtypes:
            raise TfeffError(f"{path}: its {side} {port.name} is {there.dtype}", f"the app takes {', '.join(dtypes)}")
        for key, claimed, value in _pairs(port, there):
            if claimed != value:
                raise TfeffError(
                    f"{path}: {side} {key}: the record says {claimed}, the file has {value}", "export it anew"
                )
    return {port.name: by_name[port.name] for port in said}


def _pairs(said: Port, found: FilePort) -> list[tuple[str, Any, Any]]:
    """What the record says and the file has, by key: a shape with its batch, which some files drop; a scale in float32,
    as files have it."""
    pairs: list[tuple[str, Any, Any]] = [
        ("shape", said.shape, list(found.shape) if said.shape == list(found.shape) else [1, *found.sample]),
        ("dtype", said.dtype, found.dtype.name),
    ]
    if found.quantized:
        pairs += [
            ("scale", float(np.float32(said.scale)), float(np.float32(found.scale))),
            ("zero_point", said.zero_point, found.zero_point),
        ]
    return pairs


def _own_picture(artifact: Artifact) -> np.ndarray:
    """A Fashion-MNIST test image for a network trained on it; else a drawn picture of odd sides, 243 x 321."""
    dataset = artifact.record.dataset if artifact.record is not None else None
    if dataset is not None and dataset.startswith("fashion_mnist"):
        return open_dataset("fashion_mnist_sample", "test").image(0)
    y, x = np.mgrid[0:243, 0:321].astype(np.float64)
    disc = np.hypot(y - 110, x - 190) < 70
    waves = 60 * np.sin(x / 9) * np.cos(y / 13)
    red = np.where(disc, 210, 90 + 100 * x / 320)
    green = np.where(disc, 80 + waves, 60 + 120 * y / 242)
    blue = 120 + waves + 40 * ((x // 16 + y // 16) % 2)
    noise = np.random.default_rng(0).normal(0, 6, (243, 321, 3))
    return np.clip(np.round(np.stack([red, green, blue], axis=-1) + noise), 0, 255).astype(np.uint8)
