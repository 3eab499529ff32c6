"""A detector without weights: its outputs are its image's pixels, put in order. So images can be made whose boxes are
known, and no test has to train."""

import json

import numpy as np
from box_scenes import annotated
from PIL import Image

from tfeff.tasks.detection_decode import decode
from tfeff.tasks.detection_spec import read_spec

SIZE = (24, 30)  # h, w
MEAN, STD = 128.0, 24.0  # pixels -> logits
LABELS = ["cat", "dog"]
SPEC = {
    "kind": "distances", "size": list(SIZE), "classes": 2, "bins": 4, "score": "sigmoid",
    "levels": [{"stride": 6, "rows": 4, "columns": 5, "step": [6, 6], "boxes": "boxes_6", "scores": "scores_6"},
               {"stride": 12, "rows": 2, "columns": 3, "step": [12, 10], "boxes": "boxes_12", "scores": "scores_12"}],
    "score_threshold": 0.05, "iou_threshold": 0.6, "per_class": 100, "keep": 50,
}  # fmt: skip
SHAPES = {"boxes_6": (4, 5, 16), "scores_6": (4, 5, 2), "boxes_12": (2, 3, 16), "scores_12": (2, 3, 2)}


def outputs_of(image):
    """{output: float32 (rows, columns, values)} of uint8 (h, w, 3)."""
    flat, start, found = (image.reshape(-1) - np.float32(MEAN)) / np.float32(STD), 0, {}
    for name, shape in SHAPES.items():
        found[name] = flat[start : start + np.prod(shape)].reshape(shape)
        start += int(np.prod(shape))
    return found


def keras_detector():
    """The same as a Keras model."""
    import keras

    image = keras.Input((*SIZE, 3), batch_size=1, name="image")
    flat, start, made = keras.layers.Reshape((SIZE[0] * SIZE[1] * 3,))(image), 0, {}
    for name, shape in SHAPES.items():
        count = int(np.prod(shape))
        part = keras.layers.Cropping1D((start, SIZE[0] * SIZE[1] * 3 - start - count))(
            keras.layers.Reshape((SIZE[0] * SIZE[1] * 3, 1))(flat)
        )
        made[name] = keras.layers.Reshape(shape, name=name)(part)
        start += count
    return keras.Model(image, made)


def detector_function(image):
    """The same as a function for TensorFlow's converter."""
    import tensorflow as tf

    flat, start, made = tf.reshape(image, (1, -1)), 0, {}
    for name, shape in SHAPES.items():
        count = int(np.prod(shape))
        made[name] = tf.reshape(flat[:, start : start + count], (1, *shape))
        start += count
    return made


def labelled_images(count, seed=0):
    """(image, annotation) of each: boxes near those that the detector gives, a few of another class."""
    random, spec = np.random.default_rng(seed), read_spec(SPEC)
    for _ in range(count):
        image = random.integers(60, 200, (*SIZE, 3), dtype=np.uint8)
        flat, start = image.reshape(-1), 0
        for name, shape in SHAPES.items():
            size = int(np.prod(shape))
            if name.startswith("scores"):
                flat[start : start + size] = random.integers(0, 130, size)  # few boxes
            start += size
        found = decode(outputs_of(image), spec)
        there = random.random(len(found)) < 0.6 * found.scores + 0.2
        boxes = found.boxes[there] + random.normal(0, 0.7, (int(there.sum()), 4))
        boxes = np.clip(boxes, 0, [SIZE[1], SIZE[0]] * 2)
        keep = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) > 1
        kinds = np.where(random.random(len(boxes)) < 0.1, 1 - found.classes[there], found.classes[there])
        yield image, annotated(boxes[keep], kinds[keep])


def write_coco(folder, count=40, seed=0, resize=None):
    """A folder of images and a COCO file; returns the path of the file.

    Args:
        resize: (h, w) that images are enlarged to, with their boxes; by whole numbers, without interpolation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    factor = (1, 1) if resize is None else (resize[0] // SIZE[0], resize[1] // SIZE[1])
    images, boxes = [], []
    for number, (image, truth) in enumerate(labelled_images(count, seed)):
        image = image.repeat(factor[0], axis=0).repeat(factor[1], axis=1)
        Image.fromarray(image).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": image.shape[0], "width": image.shape[1]})
        scaled = truth.boxes * np.array([factor[1], factor[0]] * 2)
        for box, kind in zip(scaled, truth.classes, strict=True):
            boxes.append({"id": len(boxes), "image_id": number, "category_id": int(kind) + 1, "iscrowd": 0,
                          "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]})  # fmt: skip
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(LABELS)]
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return path


SSD_SPEC = {
    "kind": "anchors", "size": list(SIZE), "classes": 2, "score": "softmax", "variances": [0.1, 0.1, 0.2, 0.2],
    "max_log_size": 0.3, "clip": True, "score_threshold": 0.2, "iou_threshold": 0.5, "per_class": 40, "keep": 30,
    "levels": [{"stride": 6, "rows": 4, "columns": 5, "step": [6, 6], "boxes": "boxes_6", "scores": "scores_6",
                "anchors": [[6, 6], [9, 5]]},
               {"stride": 12, "rows": 2, "columns": 3, "step": [12, 10], "boxes": "boxes_12", "scores": "scores_12",
                "anchors": [[12, 12], [18, 9]]}],
}  # fmt: skip


def keras_ssd():
    """A detector with anchors and with weights: a convolution for each of its heads."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((*SIZE, 3), batch_size=1, name="image")
    x = layers.Conv2D(8, 6, 6, activation="relu", name="stem")(image)  # (1, 4, 5, 8)
    y = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="down")(x)  # (1, 2, 3, 8)
    large = {"bias_initializer": keras.initializers.RandomNormal(stddev=2.0)}
    made = {}
    for stride, maps in ((6, x), (12, y)):
        made[f"boxes_{stride}"] = layers.Conv2D(8, 1, name=f"boxes_{stride}", **large)(maps)
        made[f"scores_{stride}"] = layers.Conv2D(6, 1, name=f"scores_{stride}", **large)(maps)
    return keras.Model(image, made)
