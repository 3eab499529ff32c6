"""A small convolutional detector with weights drawn at random, for scenes of `fashion_scenes`: it finds nothing that is
there, but some boxes in every scene, so that whoever decodes its outputs can be compared."""

import numpy as np
import pytest
from compare_models import convert_ports
from web_models import write_record_2

from tfeff.data import Preprocessing
from tfeff.data.fashion_scenes import SceneMaker

SIZE, CLASSES, BINS, WIDTH = (48, 48), 10, 8, 24
SCENE = (80, 96)  # h, w: another form than the input's, so that boxes have to be mapped back
STEPS = Preprocessing(SIZE, "fit", mean=(110.0,) * 3, std=(60.0,) * 3)
LABELS = [f"thing {number}" for number in range(CLASSES)]
NAMES = ["boxes_8", "scores_8", "boxes_16", "scores_16"]
SHAPES = {"boxes_8": (6, 6, 4 * BINS), "scores_8": (6, 6, CLASSES), "boxes_16": (3, 3, 4 * BINS),
          "scores_16": (3, 3, CLASSES)}  # fmt: skip
SPEC = {
    "kind": "distances", "size": list(SIZE), "classes": CLASSES, "bins": BINS, "score": "sigmoid",
    "levels": [{"stride": 8, "rows": 6, "columns": 6, "step": [8, 8], "boxes": "boxes_8", "scores": "scores_8"},
               {"stride": 16, "rows": 3, "columns": 3, "step": [16, 16], "boxes": "boxes_16", "scores": "scores_16"}],
    "score_threshold": 0.05, "iou_threshold": 0.6, "per_class": 100, "keep": 50,
}  # fmt: skip


def scenes(count):
    """uint8 (80, 96, 3) each, of the bundled items."""
    make = SceneMaker("test", SCENE, sample=True)
    return [make.scene(number).image for number in range(count)]


def network(image):
    """For TensorFlow's converter."""
    import tensorflow as tf

    random = np.random.default_rng(7)

    def weights(*shape):
        return random.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    seen = tf.nn.relu(tf.nn.conv2d(image, 2 * weights(8, 8, 3, WIDTH), 8, "SAME"))  # (1, 6, 6, width)
    made = {}
    for stride, features in ((8, seen), (16, tf.nn.avg_pool2d(seen, 2, 2, "SAME"))):
        made[f"boxes_{stride}"] = tf.nn.conv2d(features, 4 * weights(1, 1, WIDTH, 4 * BINS), 1, "SAME")
        made[f"scores_{stride}"] = tf.nn.conv2d(features, 2.5 * weights(1, 1, WIDTH, CLASSES), 1, "SAME") - 8.0
    return made


def write_detector(folder, io):
    """`scene.tflite`, int8 with doors of `io`, its float twin and its record; the path."""
    path, twin = folder / "scene.tflite", folder / "scene.twin.tflite"
    shape = {"image": ((1, *SIZE, 3), "float32")}
    samples = [{"image": STEPS(image)[None]} for image in scenes(16)]
    convert_ports(network, shape, twin)
    convert_ports(network, shape, path, samples, io=io)
    task = {"name": "detection", "outputs": NAMES, "labels": LABELS, "decode": SPEC}
    image = {"name": "image", "shape": [1, *SIZE, 3], "dtype": io, "preprocessing": STEPS.as_dict()}
    outputs = {name: {"name": name, "shape": [1, *SHAPES[name]], "dtype": io} for name in NAMES}
    if io != "float32":
        from compare_models import doors

        found = doors(path)
        image |= {key: found["inputs"][0][key] for key in ("scale", "zero_point")}
        for port in found["outputs"]:
            outputs[port["name"]] |= {key: port[key] for key in ("scale", "zero_point")}
    write_record_2(path, twin, inputs=[image], outputs=list(outputs.values()), tasks=[task])
    return path


@pytest.fixture(scope="module")
def scene_detector(tmp_path_factory):
    """The path of the file with float32 doors, as a page runs it."""
    return write_detector(tmp_path_factory.mktemp("scene_detector"), "float32")
