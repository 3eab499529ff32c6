"""Segmentation networks: the references' outputs and counts, their options, and weights of the authors."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_recipe import GOLDEN, images, recipe

from tfeff import TfeffError, cost, create
from tfeff.networks import get_network, index, registry
from tfeff.networks.make_index import describe
from tfeff.networks.weighted import import_file
from tfeff.weights.layouts import get_layout
from tfeff.weights.torch_layout import import_state_dict

FOLDER = GOLDEN / "segmentation"
NETWORKS = sorted(
    name for name, each in registry.import_families().items() if ".segmentation." in each.builder.__module__
)
# file's stem -> network, source, bar of the largest logit, where each tap is
_TORCHVISION = {"head": "logits"}
_EDGENETS = {
    "dec1": "decoder1_expand_prelu", "dec4": "logits", "gate2": "skip1_gate_sigmoid", "gate4": "skip3_gate_sigmoid",
}  # fmt: skip
REFERENCES = {
    "tv_lraspp_mobilenet_v3_large": ("lraspp_mobilenet_v3_large", "torchvision", 5e-4, _TORCHVISION),
    "tv_lraspp_mobilenet_v3_large_calm": ("lraspp_mobilenet_v3_large", "torchvision", 1e-5, _TORCHVISION),
    "tv_deeplabv3_mobilenet_v3_large": ("deeplab_v3_mobilenet_v3_large", "torchvision", 5e-4, _TORCHVISION),
    "tv_deeplabv3_mobilenet_v3_large_calm": ("deeplab_v3_mobilenet_v3_large", "torchvision", 1e-5, _TORCHVISION),
    "espnetv2_seg_s0_5": ("espnet_v2_seg_050", "edgenets", 1e-4, _EDGENETS),
    "espnetv2_seg_s0_5_calm": ("espnet_v2_seg_050", "edgenets", 1e-5, _EDGENETS),
    "espnetv2_seg_s1_0_calm": ("espnet_v2_seg_100", "edgenets", 1e-5, _EDGENETS),
    "espnetv2_seg_s2_0": ("espnet_v2_seg_200", "edgenets", 1e-4, _EDGENETS),
}
# Trained values of the references, and multiply-adds of their convolutions at the default size. EdgeNets counts slopes
# behind the strided units of its encoder that no forward pass reads, as many as these have channels.
COUNTS = {
    "lraspp_mobilenet_v3_large": (3_221_538, 0, 1_974_665_088),
    "deeplab_v3_mobilenet_v3_large": (11_025_477, 0, 9_825_968_000),
    "espnet_v2_seg_050": (80_353, 16 + 32 + 64, 74_703_928),
    "espnet_v2_seg_100": (234_021, 32 + 64 + 128, 135_838_776),
    "espnet_v2_seg_150": (468_373, 64 + 96 + 192, 214_340_152),
    "espnet_v2_seg_200": (789_253, 96 + 128 + 256, 337_406_008),
}
# PaddleSeg's head alone with 19 classes at 512x1024: trained values and multiply-adds, by formula.
HEADS = {
    "deeplab_v3_plus_pp_lcnet_050": (827_107, 5_378_080_768),
    "deeplab_v3_plus_pp_lcnet_100": (1_165_539, 5_566_234_624),
}
# The smallest of each builder, in a form that a test can train a step of; the stride of its logits.
SMALL = {
    "lraspp_mobilenet_v3_small": ({"channels": 16}, 8),
    "deeplab_v3_mobilenet_v3_large": (
        {"backbone": "mobilenet_v3_small_075", "channels": 8, "rates": (2, 3)}, 16,
    ),
    "deeplab_v3_plus_pp_lcnet_050": ({"channels": 8, "low_channels": 4, "rates": (2,)}, 4),
    "espnet_v2_seg_050": ({}, 2),
}  # fmt: skip


def state_of(stem):
    """(what the JSON says, state dict by the recipe and its gain)."""
    told = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    gain = np.float32(told.get("gain", 1))
    state = recipe(told["state"], told["seed"])
    return told, {entry: value * gain if value.ndim >= 2 else value for entry, value in state.items()}


def kept(length):
    """The rows or columns that a golden file keeps of a map."""
    return sorted({*range(4), *range(length - 4, length), *range(4, length - 4, 11)})


def assert_near(got, expected, bar, scale=None):
    assert got.shape == expected.shape
    largest = scale or np.abs(expected).max()
    assert np.abs(got - expected).max() <= bar * largest, np.abs(got - expected).max() / largest


# The references' outputs


def test_every_golden_file_is_used():
    assert {path.stem for path in FOLDER.iterdir()} == {*REFERENCES}


@pytest.mark.parametrize("stem", REFERENCES)
def test_logits_are_the_references(stem):
    name, source, bar, taps = REFERENCES[stem]
    told, state = state_of(stem)
    expected = np.load(FOLDER / f"{stem}.npz")
    layout = get_layout(get_network(name).family, source, name)
    model = create(name, input_shape=(*told["input"][2:], 3), upsample=True, **layout.options)
    import_state_dict(model, state, layout.places(model), ignore=layout.unused, names=layout.entries)
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert parameters + COUNTS[name][1] == told["parameters"]
    both = keras.Model(model.input, [model.output, *(model.get_layer(layer).output for layer in taps.values())])
    outputs, *inner = (np.asarray(y).transpose(0, 3, 1, 2) for y in both(images(told), training=False))
    scale = np.abs(expected["logits"]).max()
    assert_near(outputs[:, :, told["rows"]][..., told["columns"]], expected["logits"], bar)
    exact = outputs.astype(np.float64)
    assert_near(exact.mean((2, 3)), expected["mean"], bar, scale)
    assert_near(np.sqrt((exact**2).mean((2, 3))), expected["rms"], bar, scale)
    labels = outputs.argmax(1)
    counts = np.stack([np.bincount(each.ravel(), minlength=outputs.shape[1]) for each in labels])
    assert np.abs(counts - expected["label_counts"]).sum() / 2 <= 5e-4 * labels.size
    for tap, got in zip(taps, inner, strict=True):
        assert list(got.shape) == told["taps"][tap]
        part = expected[f"tap_{tap}"]
        if part.shape != got.shape:
            got = got[:, :, kept(got.shape[2])][..., kept(got.shape[3])]
        assert_near(got, part, bar)


@pytest.mark.parametrize("stem", ["tv_lraspp_mobilenet_v3_large_calm", "espnetv2_seg_s0_5_calm"])
def test_import_of_another_number_of_classes(stem, tmp_path):
    """As somebody's own network has them; layout and classes are found by the entries. Twenty are Cityscapes'."""
    name, source, _, _ = REFERENCES[stem]
    _, state = state_of(stem)
    heads = ("classifier.low", "classifier.high", "bu_dec_l4.merge_layer.3")
    state = {entry: value[:20] if entry.startswith(heads) else value for entry, value in state.items()}
    np.savez(tmp_path / "w.npz", **state)
    model, metadata = import_file(tmp_path / "w.npz", name)
    assert (model.output_shape[-1], metadata["arguments"]["classes"]) == (20, 20)
    assert metadata["source"]["layout"] == source
    del state[next(entry for entry in state if entry.startswith(heads))]
    np.savez(tmp_path / "w.npz", **state)
    with pytest.raises(TfeffError, match="lacks"):
        import_file(tmp_path / "w.npz", name)


def test_the_second_head_of_torchvisions_is_left_out(tmp_path):
    _, state = state_of("tv_deeplabv3_mobilenet_v3_large_calm")
    state["aux_classifier.4.bias"] = np.zeros(21, "float32")
    np.savez(tmp_path / "w.npz", **state)
    model, _ = import_file(tmp_path / "w.npz", "deeplab_v3_mobilenet_v3_large")
    np.testing.assert_array_equal(model.get_layer("logits").bias, state["classifier.4.bias"])


# Counts


@pytest.mark.parametrize("name", NETWORKS)
def test_index_is_current(name):
    network, made = get_network(name), []

    class Kept:
        def __call__(self):
            made.append(network())
            return made[0]

        def __getattr__(self, attribute):
            return getattr(network, attribute)

    entry = json.loads(json.dumps(describe(Kept())))
    assert index()[name] == entry, "run `python -m tfeff.networks.make_index`"
    (model,) = made
    assert model.name == name
    assert model.output_names == ["logits"]
    assert network.meaning(model).outputs == ["logits"]
    assert network.meaning(model).name == entry["task"]
    assert cost.analyse(model).unknown == cost.analyse(model).unlisted == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_the_references(name):
    entry = index()[name]
    for key, value in entry["counted_as_published"].items():
        assert value == entry["published"][key]
    if name in COUNTS:
        parameters, unread, madds = COUNTS[name]
        assert entry["counted"]["parameters"] + unread == parameters
        assert entry["counted"]["madds"] == madds


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_paddlesegs(name):
    backbone = get_network(get_network(name).options["backbone"])
    maps = cost.count(backbone(input_shape=(512, 1024, 3), features_only=("stride4", "stride32")))
    counted = index()[name]["counted"]
    assert (counted["parameters"] - maps.parameters, counted["madds"] - maps.madds) == HEADS[name]


# Options, use


@pytest.mark.parametrize("name", SMALL)
def test_forward_backward_and_save(name, tmp_path):
    keras.utils.set_random_seed(3)
    options, stride = SMALL[name]
    model = create(name, input_shape=(64, 96, 3), classes=3, **options)
    assert model.output_shape == (None, 64 // stride, 96 // stride, 3)
    x = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(x, training=True) + 1) ** 2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    dead = [
        v.path
        for v, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.isfinite(gradient).all() or not np.abs(gradient).max() > 0
    ]
    assert dead == []
    expected = model(x, training=False)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x, training=False), expected)


@pytest.mark.parametrize("name", [name for name in SMALL if "plus" not in name])  # which has no such form
def test_small_images_have_finer_logits(name):
    options, stride = SMALL[name]
    model = create(name, input_shape=(48, 96, 3), classes=2, small_image=True, upsample=True, **options)
    assert model.get_layer("logits").output.shape == (None, 2 * 48 // stride, 2 * 96 // stride, 2)
    assert model.output_shape == (None, 48, 96, 2)


def test_an_output_stride_dilates():
    """Blocks behind the stride keep their map and weights, and see as far as before."""
    shapes = {}
    for stride in (8, 16, 32):
        model = create(
            "mobilenet_v3_large_100", input_shape=(64, 64, 3), include_top=False, output_stride=stride,
        )  # fmt: skip
        assert model.output_shape == (None, 64 // stride, 64 // stride, 960)
        shapes[stride] = [variable.shape for variable in model.variables]
        depthwise = {layer.name: layer for layer in model.layers if layer.name.endswith("_dw")}
        rates = [depthwise[f"block{number}_dw"].dilation_rate[0] for number in (6, 7, 12, 13, 15)]
        assert rates == {8: [1, 2, 2, 4, 4], 16: [1, 1, 1, 2, 2], 32: [1, 1, 1, 1, 1]}[stride]
    assert shapes[8] == shapes[16] == shapes[32]
    with pytest.raises(TfeffError, match="output_stride must be 8, 16 or 32, not 4"):
        create("mobilenet_v3_large_100", output_stride=4)


def test_what_a_network_cannot_be_built_with():
    for name in SMALL:
        with pytest.raises(TfeffError, match="classes must be at least 2"):
            create(name, classes=1)
    with pytest.raises(TfeffError, match="an image of 100x96: its sides must be multiples of 16"):
        create("espnet_v2_seg_050", input_shape=(100, 96, 3))
