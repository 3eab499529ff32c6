"""The last convolution of a head, taken apart before int8 gives its parts one scale."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import images, kinds, randomize

from tfeff.data import InputPort
from tfeff.export import Request, export_model
from tfeff.export.model import Model
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.tasks import Head, get_task


def split(model):
    """The rewritten model and the number of places; every output is the same."""
    x = images(3, *model.input.shape[1:])
    new, applied = apply_rewrites(randomize(model), [load_rewrite("split_output")], {"image": x})
    for got, wanted in zip(keras.tree.flatten(new(x)), keras.tree.flatten(model(x)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6 * float(ops.max(ops.abs(wanted))))
    return new, applied[0].places if applied else 0


def head(*behind, channels=21, shape=(4, 5, 6), **options):
    image = keras.Input(shape, name="image")
    y = layers.Conv2D(channels, 1, name="head", **options)(image)
    for each in behind:
        y = each(y)
    return keras.Model(image, y)


def by_slices(y):
    return {"boxes": y[..., :4], "scores": y[..., 4:]}


FORMS = {
    "slices": [by_slices],
    "split": [lambda y: ops.split(y, [4, 12], axis=-1)],
    "slices and curves": [lambda y: {"boxes": ops.exp(y[..., :4]), "scores": ops.sigmoid(y[..., 4:])}],
    "anchors of five and two": [layers.Reshape((4, 5, 3, 7)), lambda y: [y[..., :5], y[..., 5:]]],
    "a list of anchors": [layers.Reshape((60, 7)), lambda y: [y[..., :5], ops.sigmoid(y[..., 5:6]), y[..., 6:]]],
}


@pytest.mark.parametrize("form", FORMS)
def test_each_part_has_its_own_convolution(form):
    model = head(*FORMS[form])
    new, places = split(model)
    assert places == 1
    parts = [layer for layer in new.layers if isinstance(layer, layers.Conv2D)]
    assert len(parts) == len(model.outputs)
    assert sum(layer.filters for layer in parts) == 21
    assert not {"GetItem", "Split"} & set(kinds(new))


NOT = {
    "one part": [lambda y: y[..., :4]],
    "read whole too": [lambda y: [y, y[..., :4], y[..., 4:]]],
    "a convolution behind": [lambda y: [y[..., :4], layers.Conv2D(3, 1)(y[..., 4:])]],
    "rows, not channels": [lambda y: [y[:, :2], y[:, 2:]]],
    "channels moved": [layers.Permute((3, 1, 2)), lambda y: [y[:, :4], y[:, 4:]]],
    "channels twice": [lambda y: [y[..., :14], y[..., 7:]]],
    "turned round": [lambda y: [y[..., ::-1], y[..., :4]]],
    "pixels in the last axis": [layers.Reshape((4, 105)), lambda y: [y[..., :40], y[..., 40:]]],
}


@pytest.mark.parametrize("form", NOT)
def test_left_alone(form):
    model = head(*NOT[form])
    new, places = split(model)
    assert places == 0
    assert new is model


def test_an_activation_that_looks_at_all_channels_keeps_them_together():
    assert split(head(by_slices, activation="softmax"))[1] == 0
    assert split(head(by_slices, activation="sigmoid"))[1] == 1


def test_in_int8_each_part_has_a_scale_of_its_own(tmp_path):
    model = randomize(head(by_slices, channels=8))
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel * np.repeat([100.0, 0.1], 4), bias])  # boxes in pixels, say
    np.savez(tmp_path / "c.npz", image=images(16, 4, 5, 6))
    names = ("boxes", "scores")
    task = get_task("tensors").describe(None, [Head(name, ()) for name in names])
    port = InputPort("image", (4, 5, 6), "float32", None)
    made = export_model(
        Model(model, "net", "net", (port,), names, (task,)), tmp_path / "net.tflite",
        Request(calibration=str(tmp_path / "c.npz"), method="minmax", devices=()),
    )  # fmt: skip
    assert [each.name for each in made.record.rewrites] == ["split_output"]
    scales = {port.name: port.scale for port in made.record.outputs}
    assert scales["boxes"] > 100 * scales["scores"]
    assert all(each.sqnr_db > 30 for each in made.record.ports)
