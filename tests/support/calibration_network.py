"""A small network that tells red, green and blue images apart, as a calibrated float file; and images for it."""

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfeff.calibration import Activations, Plan, audit, collect, observe, parse_method, parse_rules
from tfeff.data import Preprocessing, image_port
from tfeff.record.schema import TaskSpec

PREPROCESSING = Preprocessing(size=(16, 16))
CLASSES = ("red", "green", "blue")
PORTS = (image_port(PREPROCESSING),)
DOORS = {"image": (-1.0, 127 / 128)}
TASK = TaskSpec(name="classification", outputs=["logits"], labels=list(CLASSES))


def build():
    """(16, 16, 3) -> 3 logits; channel 5 of layer `first` never gives anything but 0."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    image = keras.Input((16, 16, 3))
    first = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")
    colours = layers.Conv2D(3, 1, name="colours")
    joined = layers.Concatenate(name="joined")([first(image), colours(image)])
    look = layers.Dense(3, name="look")
    model = keras.Model(image, look(layers.GlobalAveragePooling2D(name="pool")(joined)))
    kernel, bias = first.get_weights()
    bias[5] = -100.0
    first.set_weights([kernel, bias])
    colours.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    look.set_weights([np.concatenate([np.zeros((8, 3)), 20 * np.eye(3)]), np.zeros(3)])
    return model


@functools.cache
def calibrated_file() -> Path:
    """The network as `export` measures it; made once a process."""
    from tfeff.export import quantize

    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    np.save(folder / "one.npy", np.zeros((1, 16, 16, 3), np.float32))
    quantize.write_saved_model(build(), folder / "saved", PORTS, ["logits"])
    path = folder / "calibrated.tflite"
    job = quantize.Job(str(folder / "saved"), "int8", "int8", str(path), step="calibrate")
    quantize.convert([job], {"image": folder / "one.npy"}, folder)
    return path


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth uint8 images (n, 16, 16, 3), in each of which one colour is strongest, and which."""
    rng = np.random.default_rng(seed)
    strongest = rng.integers(0, 3, count)
    images = np.empty((count, 16, 16, 3), np.uint8)
    for image, colour in zip(images, strongest, strict=True):
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        small[0, 0], small[3, 3] = 0, 255  # every image uses the whole range
        small[1:3, :, colour] = 255
        small[1:3, :, (colour + 1) % 3] //= 4
        small[1:3, :, (colour + 2) % 3] //= 4
        image[:] = Image.fromarray(small).resize((16, 16), Image.Resampling.BICUBIC)
    return images, strongest


def feeds(inputs):
    """Inputs as what a model is given."""
    return ({"image": value} for value in inputs)


def collected(folder: Path, preprocessing=PREPROCESSING, **arrays):
    """The calibration of an `.npz` of these arrays."""
    np.savez(folder / "images.npz", **arrays)
    return collect(str(folder / "images.npz"), [image_port(preprocessing)], folder)


def audited(file: Path, folder: Path, method: str = "image-percentile", preprocessing=PREPROCESSING, **arrays):
    """The findings, by code, of an `.npz` of these arrays."""
    calibration, network = collected(folder, preprocessing, **arrays), Activations(file)
    seen = observe(network, calibration.feeds(), calibration.names, folder)
    done, _ = audit(calibration, network, seen, parse_method(method), folder, tasks=[TASK])
    return {each.code: each for each in done.findings}, done


def ranges(file: Path, inputs: np.ndarray, folder: Path, method: str, rules=()):
    """The ranges by layer, (low, high, method)."""
    network = Activations(file)
    plan = Plan(network.tensors, parse_method(method), parse_rules(rules), DOORS)
    names = [f"image {n}" for n in range(len(inputs))]
    seen = observe(network, feeds(inputs), names, folder, histograms=plan.histograms)
    return {each.tensor.label: (each.low, each.high, each.method) for each in plan.ranges(seen)}
