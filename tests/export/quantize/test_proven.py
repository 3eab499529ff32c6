"""Points that the quantizer merges or folds away: found by their names, their ranges made to go together."""

import keras
import numpy as np
import pytest
import quantize_models
from keras import layers

from tfeff.calibration import from_arrays
from tfeff.export.quantize import Converter, constants
from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.quantize.prove import prove_units
from tfeff.export.quantize.proven import quantize_proven
from tfeff.tflite.graph import read_graph

IMAGES = quantize_models.images(24)


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with Converter(tmp_path_factory.mktemp("converter")) as running:
        yield running


def squeeze_and_excite():
    """As EfficientNet has it: the mean of the map, shaped as one pixel."""
    keras.utils.set_random_seed(1)
    image = keras.Input(IMAGES.shape[1:], name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="map")(image)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D(name="mean")(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(layers.Conv2D(4, 1, name="reduce")(gate))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    return keras.Model(image, layers.Dense(3)(x))


def averaged():
    """An average, whose half the quantizer folds into the weights behind it."""
    keras.utils.set_random_seed(2)
    image = keras.Input(IMAGES.shape[1:], name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="one")(image)
    x = layers.Average(name="half")([x, layers.Conv2D(8, 3, padding="same", name="other")(x)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="behind")(x))
    return keras.Model(image, layers.Dense(3)(x))


def test_a_mean_that_was_merged_with_a_reshape_is_compared(tmp_path, converter):
    model = squeeze_and_excite()
    ((file, path, _),) = quantize_models.make_int8(
        {"se": (model, fake_quant_graph(model))}, tmp_path, IMAGES, converter
    ).values()
    assert "RESHAPE" not in [op.name for op in read_graph(path).operations]
    proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": IMAGES[:8]})
    assert (proof.missing, proof.rescaled, proof.beyond) == ((), (), [])
    assert {"mean", "reduce"} <= {unit.unit for unit in proof.units}


def test_what_was_folded_away_in_front_of_a_unit_that_differs_gets_its_range(tmp_path, converter, monkeypatch):
    """Were the graph to leave a constant to the converter, and a range clip what is folded."""
    monkeypatch.setattr(constants.Constants, "apply", lambda self, model: (model, 0))
    model = averaged()
    ((file, path, ranges),) = quantize_models.make_int8(
        {"average": (model, fake_quant_graph(model))}, tmp_path, IMAGES, converter
    ).values()
    low, high = ranges[file.tensors["half"]]
    ranges[file.tensors["half"]] = low / 8, high / 8
    file.quantize(ranges, {"int8": path}, converter)
    proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": IMAGES[:16]})
    assert (proof.beyond, proof.missing) == (["behind"], ("half",))
    calibration = from_arrays({"image": IMAGES}, tmp_path, "images")
    found = quantize_proven(file, ranges, {"int8": path}, converter, calibration)
    assert (found.beyond, found.missing) == ([], ["half"])
    assert [op.name for op in read_graph(path).operations] == ["CONV_2D", "CONV_2D", "ADD", "CONV_2D", "MEAN",
                                                               "FULLY_CONNECTED"]  # fmt: skip


def test_the_factor_of_an_average_is_folded_in_the_graph(tmp_path, converter):
    model = averaged()
    ((file, path, _),) = quantize_models.make_int8(
        {"average": (model, fake_quant_graph(model))}, tmp_path, IMAGES, converter
    ).values()
    proof = prove_units(file.graph, path.read_bytes(), *file.scales(path), {"image": IMAGES[:8]})
    assert (proof.beyond, proof.missing, proof.rescaled) == ([], (), ())
    got, wanted = np.asarray(file.graph(IMAGES[:8])), np.asarray(model(IMAGES[:8]))
    assert 10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum()) > 20
