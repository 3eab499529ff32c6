"""What is seen of a network's layers: against Keras' own, in any order, in the same memory for any number."""

import sys
from pathlib import Path

import numpy as np
import pytest
from calibration_network import DOORS, build, calibrated_file, feeds, pictures, ranges

from tfeff.calibration import Activations, observe
from tfeff.errors import TfeffError

METHODS = ["minmax", "percentile", "image-percentile", "mse", "entropy"]
INPUTS = ((pictures(60)[0].astype(np.float32)) - 128) / 128


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


def test_layers_hold_what_keras_computes(network, tmp_path):
    import keras

    model = build()
    found = ranges(network, INPUTS, tmp_path, "minmax")
    for name in ("first", "colours", "joined"):
        values = np.asarray(keras.Model(model.input, model.get_layer(name).output)(INPUTS))
        low, high, method = found[name]
        assert method == "minmax"
        assert low == pytest.approx(min(values.min(), 0), abs=1e-4)
        assert high == pytest.approx(values.max(), rel=1e-4)


def test_every_image_has_its_extremes(network, tmp_path):
    import keras

    model = build()
    seen = observe(Activations(network), feeds(INPUTS), [""] * 60, tmp_path)
    labels = [tensor.label for tensor in seen.tensors]
    lows, highs = list(seen.extremes.columns())[labels.index("colours")]
    values = np.asarray(keras.Model(model.input, model.get_layer("colours").output)(INPUTS)).reshape(60, -1)
    np.testing.assert_allclose(lows, values.min(1), atol=1e-5)
    np.testing.assert_allclose(highs, values.max(1), atol=1e-5)
    position = labels.index("first")
    assert seen.channel_lows[position][5] == seen.channel_highs[position][5] == 0


@pytest.mark.parametrize("method", METHODS)
def test_any_order_gives_the_same_bits(network, tmp_path, method):
    first = ranges(network, INPUTS, tmp_path, method)
    assert ranges(network, INPUTS, tmp_path, method) == first
    for seed in (1, 2):
        assert ranges(network, np.random.default_rng(seed).permutation(INPUTS), tmp_path, method) == first
    assert ranges(network, INPUTS[::-1], tmp_path, method) == first


@pytest.mark.parametrize("method", METHODS)
def test_the_input_has_the_range_of_its_preprocessing(network, tmp_path, method):
    assert ranges(network, INPUTS * np.float32(0.1), tmp_path, method)["image"] == (*DOORS["image"], "preprocessing")


def test_layers_of_their_own(network, tmp_path):
    rules = ["first=minmax", "colours=-3:4", "image=percentile:99"]
    plain, found = (ranges(network, INPUTS, tmp_path, "image-percentile:90", r) for r in ((), rules))
    assert found["first"] == ranges(network, INPUTS, tmp_path, "minmax")["first"]
    assert found["first"] != plain["first"]
    assert found["colours"] == (-3.0, 4.0, "given")
    assert found["image"][2] == "percentile:99"
    assert found["joined"] == plain["joined"]


def test_unknown_layer_gets_the_nearest_names(network, tmp_path):
    with pytest.raises(TfeffError) as caught:
        ranges(network, INPUTS, tmp_path, "minmax", ["colour=minmax"])
    assert "'colour'" in caught.value.what
    assert "colours" in caught.value.mend


@pytest.mark.parametrize(
    "text", ["first", "first=", "=minmax", "first=1:2", "first=-1:x", "first=0:0", "first=nan:1", "first=kl"]
)
def test_rules_that_mean_nothing(network, tmp_path, text):
    with pytest.raises(TfeffError) as caught:
        ranges(network, INPUTS, tmp_path, "minmax", [text])
    assert caught.value.mend


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_names_the_layer_and_the_image(network, tmp_path, value):
    spoilt = INPUTS.copy()
    spoilt[7, 3, 3, 0] = value
    with pytest.raises(TfeffError, match="image 7: image gives NaN or infinity"):
        ranges(network, spoilt, tmp_path, "minmax")
    spoilt[7] = 3e38  # finite, but no longer in the first layer
    with pytest.raises(TfeffError, match=r"image 7: \w+ gives NaN or infinity"):
        ranges(network, spoilt, tmp_path, "minmax")


def test_memory_does_not_grow_with_the_images(network, tmp_path):
    """Peak resident memory of a process that collects, measures with histograms and audits: 3,000 images and 100."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from calibration_memory import run

    (tmp_path / "many_images.py").write_text(
        "import numpy as np\n"
        "def images():\n"
        "    rng = np.random.default_rng(0)\n"
        "    while True: yield rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)\n"
    )
    few, many = (run(network, "many_images:images", count, 16, tmp_path) for count in (100, 3000))
    assert (few["images"], many["images"]) == (100, 3000)
    assert many["peak_kib"] < 1.1 * few["peak_kib"]
