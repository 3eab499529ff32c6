"""A concatenation of unlike ranges is named, and only that."""

import re

import keras
import numpy as np
from keras import layers
from rewrite_models import images, randomize

from tfeff.data import InputPort
from tfeff.export import Request, export_model
from tfeff.export.model import Model
from tfeff.tasks import Head, get_task


def test_the_export_names_them(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    parts = [layers.Conv2D(4, 1, name=name)(image) for name in ("a", "b", "c")]
    alike = layers.Concatenate(name="alike")(parts[:2])
    unlike = layers.Concatenate(name="unlike")(parts[1:])
    model = randomize(keras.Model(image, [layers.Conv2D(2, 3, name=f"of_{x.name}")(x) for x in (alike, unlike)]))
    model.get_layer("b").set_weights(model.get_layer("a").get_weights())
    model.get_layer("c").set_weights([5 * each for each in model.get_layer("a").get_weights()])
    np.savez(tmp_path / "c.npz", image=images(8, 8, 8, 3))
    names = ("one", "two")
    task = get_task("tensors").describe(None, [Head(name, ()) for name in names])
    made = export_model(
        Model(model, "net", "net", (InputPort("image", (8, 8, 3)),), names, (task,)), tmp_path / "net.tflite",
        Request(calibration=str(tmp_path / "c.npz"), method="minmax", devices=(), correct_bias=False),
    )  # fmt: skip
    (note,) = [each for each in made.record.notes if "concatenation" in each]
    assert note.startswith("1 concatenation joins ranges that differ more than twofold")
    assert re.search(r"unlike\w* 5.0 times \(", note)
    assert not re.search(r"\balike", note)
