"""What the app's self-test compares with: a picture, and the bytes that this machine computed for it."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from tfeff.artifact import Artifact
from tfeff.compare.runner import Runner, quantize, runtime_version
from tfeff.data import Preprocessing, open_dataset
from tfeff.data.images import read_image
from tfeff.errors import TfeffError

APP_DTYPES = ("int8", "uint8", "float32")
# Between two families of kernels (XNNPACK, the built-in ones; x86, ARM) int8 outputs differ by up to 5 steps.
MAX_STEPS = 5


@dataclass(frozen=True)
class SelfTest:
    """The two files of a model's self-test.

    Attributes:
        picture: a PNG file.
        expected: the JSON: sha256 of the model, `input_hex`, `output_hex`, `max_steps`, `runtime`.
        label: the class that comes first.
    """

    picture: bytes
    expected: bytes
    label: str


def make_self_test(artifact: Artifact, image: Path | None) -> SelfTest:
    """Runs an artifact on a picture: `image`, or one of our own.

    Raises:
        TfeffError: the app cannot run the file, or its record does not fit it; an image that cannot be read.
    """
    runner, preprocessing = _open(artifact)
    pixels = read_image(image) if image else _own_picture(artifact)
    real = preprocessing(pixels)
    stored = quantize(real, runner.input.scale, runner.input.zero_point, runner.input.dtype)
    output = runner(real)
    # `runner` gives real numbers; going back to the stored ones is exact
    answer = quantize(output, runner.output.scale, runner.output.zero_point, runner.output.dtype)
    best = int(np.argmax(output))
    labels = artifact.record.get("labels") or []
    expected = {
        "sha256": artifact.sha256,
        "input_hex": stored.tobytes().hex(),
        "output_hex": answer.tobytes().hex(),
        "max_steps": MAX_STEPS,
        "runtime": f"ai-edge-litert {runtime_version()}",
        "top": best,
        "tall_first": int(PIL.__version__.partition(".")[0]) >= 13,  # the order of the axes, see Resize.java
    }
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    text = json.dumps(expected, indent=1) + "\n"
    return SelfTest(png.getvalue(), text.encode(), labels[best] if labels else f"class {best}")


def _open(artifact):
    """The file opened, and its preprocessing; refuses what the app would refuse, in the same words where it can."""
    path, record = artifact.path, artifact.record
    if record is None:
        raise TfeffError(
            f"{path}: has no record; the app reads size, preprocessing and labels from it", "make it by `tfeff export`"
        )
    runner = Runner(path)
    if runner.outputs != 1:
        raise TfeffError(f"{path}: has {runner.outputs} outputs, the app takes files with one", "export a classifier")
    for side, door in (("input", runner.input), ("output", runner.output)):
        said = record.get(side)
        if not isinstance(said, dict) or "shape" not in said or "dtype" not in said:
            raise TfeffError(f"{path}: its record says nothing of its {side}", "export it anew")
        if door.dtype.name not in APP_DTYPES:
            raise TfeffError(f"{path}: its {side} is {door.dtype}", f"the app takes {', '.join(APP_DTYPES)}")
        found = {"shape": list(door.shape), "dtype": door.dtype.name}
        if door.dtype != np.float32:
            found |= {"scale": door.scale, "zero_point": door.zero_point}
        for key, value in found.items():
            claimed = said.get(key)
            if key == "scale" and isinstance(claimed, float):
                claimed, value = float(np.float32(claimed)), float(np.float32(value))
            if claimed != value:
                raise TfeffError(
                    f"{path}: {side} {key}: the record says {claimed}, the file has {value}", "export it anew"
                )
    if not isinstance(record.get("preprocessing"), dict):
        raise TfeffError(f"{path}: its record has no preprocessing", "export it from a preset, or with --preprocessing")
    preprocessing = Preprocessing.from_dict(record["preprocessing"])
    if preprocessing.shape != runner.shape:
        raise TfeffError(
            f"{path}: takes images of {runner.shape}, its preprocessing gives {preprocessing.shape}", "export it anew"
        )
    if int(np.prod(runner.output.shape)) != runner.classes:
        raise TfeffError(
            f"{path}: its output is {runner.output.shape}", "the app shows classifiers, one list of scores"
        )
    labels = record.get("labels")
    if labels is not None and (not isinstance(labels, list) or len(labels) not in (0, runner.classes)):
        count = len(labels) if isinstance(labels, list) else "no list of"
        raise TfeffError(f"{path}: has {runner.classes} classes, its record {count} labels", "export it anew")
    return runner, preprocessing


def _own_picture(artifact):
    """A Fashion-MNIST test image for a network trained on it; else a drawn picture of odd sides, 243 x 321."""
    dataset = artifact.record.get("dataset")
    if isinstance(dataset, str) and dataset.startswith("fashion_mnist"):
        return open_dataset("fashion_mnist_sample", "test").image(0)
    y, x = np.mgrid[0:243, 0:321].astype(np.float64)
    disc = np.hypot(y - 110, x - 190) < 70
    waves = 60 * np.sin(x / 9) * np.cos(y / 13)
    red = np.where(disc, 210, 90 + 100 * x / 320)
    green = np.where(disc, 80 + waves, 60 + 120 * y / 242)
    blue = 120 + waves + 40 * ((x // 16 + y // 16) % 2)
    noise = np.random.default_rng(0).normal(0, 6, (243, 321, 3))
    return np.clip(np.round(np.stack([red, green, blue], axis=-1) + noise), 0, 255).astype(np.uint8)
