"""`create(NAME, weights=W)`: the network that the weights were made for, or an error."""

import keras
import numpy as np
import pytest

from tfeff import TfeffError, create
from tfeff.weights import load_weights, save_weights

NAME, OPTIONS = "pp_lcnet_025", {"input_shape": (64, 64, 3), "classes": 5, "symmetric_padding": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A weight file that knows its options, one that does not, and their model."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(0)
    model = create(NAME, **OPTIONS)
    arguments = {**OPTIONS, "input_shape": [64, 64, 3]}
    save_weights(model, folder / "w.npz", metadata={"network": NAME, "arguments": arguments})
    save_weights(model, folder / "bare.npz")
    return folder, model


def logits(model, size=64):
    return model(np.random.default_rng(1).normal(size=(1, size, size, 3)).astype("float32"), training=False)


def test_options_come_from_the_file(made):
    folder, model = made
    built = create(NAME, weights=folder / "w.npz")
    assert built.input_shape == (None, 64, 64, 3)
    np.testing.assert_array_equal(logits(built), logits(model))
    other = create(NAME, input_shape=(64, 64, 3), classes=5)  # the same weights in another graph
    load_weights(other, folder / "bare.npz")
    assert np.abs(logits(other) - logits(model)).max() > 1e-3 * np.abs(logits(model)).max()


def test_said_again_is_no_contradiction(made):
    create(NAME, weights=str(made[0] / "w.npz"), classes=5, symmetric_padding=True)


@pytest.mark.parametrize("change", [{"classes": 6}, {"symmetric_padding": False}])
def test_contradictions(made, change):
    with pytest.raises(TfeffError, match=r"but weights .* are for") as raised:
        create(NAME, weights=made[0] / "w.npz", **change)
    assert "symmetric_padding=True" in raised.value.mend


@pytest.mark.parametrize("change", [{"small_image": True}, {"head_bias": True}])
def test_options_that_the_file_does_not_name(made, change):
    with pytest.raises(TfeffError, match="makes another graph than the weights were made for"):
        create(NAME, weights=made[0] / "w.npz", **change)
    same = {key: False for key in change}
    np.testing.assert_array_equal(logits(create(NAME, weights=made[0] / "w.npz", **same)), logits(made[1]))


def test_another_network(made):
    with pytest.raises(TfeffError, match="of network pp_lcnet_025, not of pp_lcnet_035"):
        create("pp_lcnet_035", weights=made[0] / "w.npz")


def test_other_forms_of_the_same_network(made):
    folder, model = made
    larger = create(NAME, weights=folder / "w.npz", input_shape=(96, 96, 3))
    same = create(NAME, **{**OPTIONS, "input_shape": (96, 96, 3)})
    same.set_weights(model.get_weights())
    np.testing.assert_array_equal(logits(larger, 96), logits(same, 96))
    features = create(NAME, weights=folder / "w.npz", features_only=True)
    kernel = model.get_layer("stage5_block2_pw").kernel
    np.testing.assert_array_equal(features.get_layer("stage5_block2_pw").kernel, kernel)
    assert "stride32" in features.output
    assert "logits" not in [layer.name for layer in features.layers]


def test_a_bare_file_takes_the_callers_options(made):
    folder, model = made
    np.testing.assert_array_equal(logits(create(NAME, weights=folder / "bare.npz", **OPTIONS)), logits(model))
    with pytest.raises(TfeffError, match="do not fit"):
        create(NAME, weights=folder / "bare.npz")


def test_loading_into_another_graph_is_refused(made):
    with pytest.raises(TfeffError, match="another graph than network pp_lcnet_025") as raised:
        load_weights(create(NAME, input_shape=(64, 64, 3), classes=5), made[0] / "w.npz")
    assert "symmetric_padding=True" in raised.value.mend
    assert "weights=" in raised.value.mend


def test_no_such_file(tmp_path):
    with pytest.raises(TfeffError, match="no such file"):
        create(NAME, weights=tmp_path / "w.npz")
