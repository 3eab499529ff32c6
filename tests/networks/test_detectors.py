"""Detectors and their backbones: the references' outputs and counts, the spec's geometry, the options."""

import json
import math
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_recipe import GOLDEN, as_named_there, images, recipe
from rounding import assert_same
from small_detectors import SMALL_DETECTORS

from tfeff import TfeffError, cost, create
from tfeff.networks import get_network, index, registry
from tfeff.networks.detection import spec_of
from tfeff.networks.make_index import describe
from tfeff.networks.weighted import import_file
from tfeff.tasks.detection_spec import anchor_boxes, centres, read_spec
from tfeff.weights import save_weights
from tfeff.weights.layouts import get_layout
from tfeff.weights.torch_layout import import_state_dict

DETECTORS = sorted(name for name, each in registry.import_families().items() if each.task == "detection")
BACKBONES = ["esnet_l", "esnet_m", "esnet_s"]
# file's stem -> network, source; counted in Paddle: four trained values more, which its head never reads
REFERENCES = {
    "paddle_picodet_s_320": ("pico_det_esnet_s", "paddle"),
    "paddle_picodet_lcnet_1_5x_416": ("pico_det_pp_lcnet_150", "paddle"),
    "paddle_picodet_s_320_lcnet": ("pico_det_v2_pp_lcnet_075", "paddle"),
    "paddle_picodet_mobilenetv3_large_1x_416": ("pico_det_mobilenet_v3_large", "paddle"),
    "paddle_picodet_shufflenetv2_1x_416": ("pico_det_shufflenet_v2_x100", "paddle"),
    "tv_ssdlite320_mobilenet_v3_large": ("ssdlite_mobilenet_v3_large", "torchvision"),
}
UNREAD = 4
# Parameters and multiply-adds: of the references' graphs, and of VoVNet's paper by its authors' script, whose printed
# figures are 56.28 M, 32.6 G, 70.32 M and 36.45 G.
COUNTS = {
    "pico_det_esnet_s": (992_719 - UNREAD, 350_963_528),
    "pico_det_shufflenet_v2_x100": (1_178_920 - UNREAD, 743_230_440),
    "pico_det_mobilenet_v3_large": (3_554_666 - UNREAD, 1_347_721_824),
    "pico_det_pp_lcnet_100": (1_830_692 - UNREAD, None),
    "pico_det_pp_lcnet_150": (3_107_668 - UNREAD, 1_861_134_656),
    "pico_det_v2_pp_lcnet_075": (1_186_496 - UNREAD, 481_103_149),
    "ssdlite_mobilenet_v3_large": (3_440_060, None),
    "refinedet_vovnet_39": (56_283_844, None),
    "refinedet_vovnet_57": (70_323_844, None),
}
SMALL = SMALL_DETECTORS


def load(stem):
    """(what the JSON says, state dict by the recipe, arrays of the reference)."""
    folder = GOLDEN / "detection"
    told = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
    return told, recipe(told["state"], told["seed"]), np.load(folder / f"{stem}.npz")


def imported(stem):
    """(network with the reference's weights, its spec, what the JSON says, the reference's arrays)."""
    name, source = REFERENCES[stem]
    told, state, expected = load(stem)
    layout = get_layout(get_network(name).family, source, name)
    model = create(name, **layout.options)
    state = layout.adapt(as_named_there(state, layout.entries))
    import_state_dict(model, state, layout.places(model), ignore=layout.unused, names=layout.entries)
    return model, spec_of(name, model, **layout.options), told, expected


def rows_of(outputs, spec, kind, values):
    """(places and anchors of all levels, values), in the spec's order."""
    return np.concatenate([np.reshape(outputs[getattr(level, kind)], (-1, values)) for level in spec.levels])


def boxes_of(distributions, points, strides):
    """x1, y1, x2, y2 from the logits of the distances, written after the paper."""
    logits = distributions.reshape(-1, 4, 8).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=2, keepdims=True))
    distances = (odds / odds.sum(axis=2, keepdims=True)) @ np.arange(8) * strides[:, None]
    return np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)


@cache
def small(name):
    keras.utils.set_random_seed(3)
    return create(name, input_shape=(64, 64, 3), classes=3, **SMALL[name])


# The references' outputs


def test_every_golden_file_is_used():
    # What stands behind a network, `tests/tasks/test_detection_decode.py` reads.
    networks = {path.stem for path in (GOLDEN / "detection").iterdir() if not path.stem.endswith("postprocess")}
    assert networks == {*REFERENCES}


@pytest.mark.parametrize("stem", [stem for stem in REFERENCES if stem.startswith("paddle")])
def test_outputs_are_paddles(stem):
    model, spec, told, expected = imported(stem)
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == told["parameters"] - UNREAD
    outputs = {name: np.asarray(value) for name, value in model(images(told), training=False).items()}
    kinds = {"boxes": 32, "scores": 80, **({"alignment": 1} if spec.score == "aligned" else {})}
    got = {kind: rows_of(outputs, spec, kind, values)[expected["rows"]] for kind, values in kinds.items()}
    assert_same([*got.values()], [expected[kind] for kind in kinds], lambda x: model(x, training=False), images(told))
    # What a box is: its points, and the reference's own logits.
    points = np.concatenate([centres(level) for level in spec.levels])[expected["rows"]]
    strides = np.concatenate([np.full(level.rows * level.columns, level.stride) for level in spec.levels])
    decoded = boxes_of(expected["boxes"], points, strides[expected["rows"]])
    np.testing.assert_allclose(decoded, expected["decoded"], rtol=0, atol=1e-4)
    if spec.score == "aligned":
        sigmoid = [1 / (1 + np.exp(-expected[kind].astype(np.float64))) for kind in ("scores", "alignment")]
        np.testing.assert_allclose(np.sqrt(sigmoid[0] * sigmoid[1] + 1e-9), expected["probabilities"], atol=1e-6)


def test_outputs_are_torchvisions():
    model, spec, told, expected = imported("tv_ssdlite320_mobilenet_v3_large")
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == told["parameters"] == 3_440_060
    outputs = {name: np.asarray(value) for name, value in model(images(told), training=False).items()}
    got = [rows_of(outputs, spec, kind, n)[expected["rows"]] for kind, n in (("boxes", 4), ("scores", 91))]
    assert_same(got, [expected["boxes"], expected["scores"]], lambda x: model(x, training=False), images(told))
    assert (spec.classes, spec.channels, sum(len(anchor_boxes(level)) for level in spec.levels)) == (90, 91, 3234)
    anchors = np.concatenate([anchor_boxes(level) for level in spec.levels])[::7]
    corners = np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(corners, expected["anchors"], atol=1e-4)


@pytest.mark.parametrize("stem", ["paddle_picodet_s_320", "tv_ssdlite320_mobilenet_v3_large"])
def test_import_of_another_number_of_classes(stem, tmp_path):
    """As somebody's own detector has them; layout and classes are found by the entries."""
    name, source = REFERENCES[stem]
    _, state, _ = load(stem)
    layout = get_layout(get_network(name).family, source, name)
    fewer = {80 + 32: 3 + 32, 6 * 91: 6 * 4}  # three kinds of object
    of_heads = ("head.head_cls", "head.classification_head")
    state = {
        entry: value[: fewer.get(len(value), len(value))] if entry.startswith(of_heads) else value
        for entry, value in as_named_there(state, layout.entries).items()
    }
    np.savez(tmp_path / "w.npz", **state)
    model, metadata = import_file(tmp_path / "w.npz", name)
    spec = spec_of(name, model)
    assert (spec.classes, metadata["arguments"]["classes"]) == (3, 3)
    assert metadata["source"]["layout"] == source
    first = spec.levels[0]
    entry = "head.head_cls0" if spec.bins else "head.classification_head.module_list.0.1"
    kernel = model.get_layer(first.scores).kernel[0, 0]
    np.testing.assert_array_equal(kernel, state[f"{entry}.weight"][: kernel.shape[-1], :, 0, 0].T)
    save_weights(model, tmp_path / "ours.npz", metadata=metadata)
    again = create(name, weights=tmp_path / "ours.npz", input_shape=(96, 96, 3))
    np.testing.assert_array_equal(again.get_layer(first.scores).kernel[0, 0], kernel)
    assert again.output[first.scores].shape[-1] == kernel.shape[-1]


# Counts


@pytest.mark.parametrize("name", [*DETECTORS, *BACKBONES])
def test_index_is_current(name):
    """Built once, for that takes a second or two, and looked at on the way."""
    network, kept = get_network(name), []

    class Kept:
        def __call__(self):
            kept.append(network())
            return kept[0]

        def __getattr__(self, attribute):
            return getattr(network, attribute)

    entry = json.loads(json.dumps(describe(Kept())))
    assert index()[name] == entry, "run `python -m tfeff.networks.make_index`"
    (model,) = kept
    assert model.name == name
    assert len({v.path for v in model.variables}) == len(model.variables)  # weight files go by the path
    meaning = network.meaning(model)
    assert sorted(meaning.outputs) == sorted(model.output)
    assert meaning.name == entry["task"]
    assert cost.analyse(model).unknown == cost.analyse(model).unlisted == ()
    if name in DETECTORS:
        spec = read_spec(json.loads(json.dumps(meaning.decode)))
        assert spec.outputs == meaning.outputs
        assert spec.size == model.input_shape[1:3]
        anchors = max(len(spec.levels[0].anchors), 1)
        for level in spec.levels:
            assert model.output[level.scores].shape[1:] == (level.rows, level.columns, anchors * spec.channels)
            assert model.output[level.boxes].shape[1:] == (level.rows, level.columns, anchors * (4 * spec.bins or 4))


@pytest.mark.parametrize("name", [*DETECTORS, *BACKBONES])
def test_published_figures_are_met(name):
    entry = index()[name]
    published, counted = entry["published"], entry["counted_as_published"]
    assert counted.keys() == published.keys() & cost.CONVENTIONS.keys()
    assert not published or published["source"]
    for key, value in counted.items():
        assert value == published[key] or (cost.meets(value, published[key]) and key != "parameters_with_level_scales")
    parameters, madds = COUNTS.get(name, (None, None))
    assert parameters in (None, entry["counted"]["parameters"])
    assert madds in (None, entry["counted"]["madds"])


def test_all_exact_counts_are_of_registered_networks():
    assert {*COUNTS} < {*DETECTORS}
    assert index()["refinedet_vovnet_39"]["counted"]["madds"] == pytest.approx(32.626e9, rel=1e-4)
    assert index()["refinedet_vovnet_57"]["counted"]["madds"] == pytest.approx(36.418e9, rel=1e-4)
    assert index()["pico_det_pp_lcnet_100"]["counted"]["madds"] == pytest.approx(1208.3e6, rel=1e-3)
    assert index()["esnet_s"]["counted"]["madds"] == 162_913_928  # PicoDet-S's share, in Paddle


# Geometry, options, use


@pytest.mark.parametrize("name", SMALL)
def test_forward_backward_and_save(name, tmp_path):
    model = small(name)
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum((each + 1) ** 2) for each in model(x, training=True).values())
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    dead = [
        v.path
        for v, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.isfinite(gradient).all() or not np.abs(gradient).max() > 0
    ]
    assert dead == []
    expected = model(x, training=False)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")(x, training=False)
    assert len({float(np.ptp(values)) for values in expected.values()}) > len(expected) / 2  # they differ
    for output, values in expected.items():
        np.testing.assert_array_equal(again[output], values)


@pytest.mark.parametrize("name", SMALL)
def test_one_kind_of_object_is_enough(name):
    model = create(name, input_shape=(64, 128, 3), classes=1, **SMALL[name])
    spec = spec_of(name, model, **SMALL[name])
    assert (spec.classes, spec.size) == (1, (64, 128))
    with pytest.raises(TfeffError, match="classes must be at least 1"):
        create(name, classes=0)


def test_levels_of_an_odd_map():
    """At 416 the map of stride 32 has 13 rows, and that of stride 64 has 7: more than the image."""
    model = create("pico_det_v2_pp_lcnet_035", input_shape=(416, 416, 3))
    spec = spec_of("pico_det_v2_pp_lcnet_035", model)
    assert [(level.stride, level.rows, level.columns) for level in spec.levels] == [
        (8, 52, 52), (16, 26, 26), (32, 13, 13), (64, 7, 7),
    ]  # fmt: skip
    assert sum(level.rows * level.columns for level in spec.levels) == 3598
    np.testing.assert_allclose(centres(spec.levels[-1])[[0, 1, -1]], [[32, 32], [96, 32], [416, 416]])
    # The image's places lie evenly in SSD, also where the map does not divide it.
    model = create("ssdlite_vargnet_v1_025_g8")
    spec = spec_of("ssdlite_vargnet_v1_025_g8", model)
    assert [level.rows for level in spec.levels] == [20, 10, 5, 3, 2, 1]
    np.testing.assert_allclose(centres(spec.levels[3])[[0, 1, -1]], [[160 / 3] * 2, [160, 160 / 3], [800 / 3] * 2])


def test_refinedets_anchors():
    name = "refinedet_vovnet_39"
    spec = spec_of(name, create(name, **SMALL[name]))
    assert sum(len(anchor_boxes(level)) for level in spec.levels) == 6375
    first = anchor_boxes(spec.levels[0])[:4]
    wide, tall = 32 * math.sqrt(2), 32 / math.sqrt(2)
    np.testing.assert_allclose(first, [[4, 4, 32, 32], [4, 4, wide, tall], [4, 4, tall, wide], [12, 4, 32, 32]])
    assert [level.anchors[0] for level in spec.levels] == [(side, side) for side in (32, 64, 128, 256)]


def test_images_of_one_place_at_the_last_level():
    model = create("pico_det_pp_lcnet_050", input_shape=(32, 96, 3), classes=2)
    spec = spec_of("pico_det_pp_lcnet_050", model)
    assert [(level.stride, level.rows, level.columns) for level in spec.levels] == [
        (8, 4, 12), (16, 2, 6), (32, 1, 3), (64, 1, 2),
    ]  # fmt: skip


def test_small_images_have_finer_levels():
    model = create("pico_det_pp_lcnet_050", input_shape=(96, 96, 3), classes=10, small_image=True)
    strides = [level.stride for level in spec_of("pico_det_pp_lcnet_050", model).levels]
    assert strides == [4, 8, 16, 32]
    model = create("ssdlite_vargnet_v1_025_g8", input_shape=(96, 96, 3), classes=10, small_image=True, extras=(64, 64))
    levels = spec_of("ssdlite_vargnet_v1_025_g8", model).levels
    assert [(level.stride, level.rows) for level in levels] == [(8, 12), (16, 6), (32, 3), (64, 2)]


def test_what_a_detector_cannot_be_built_with():
    with pytest.raises(TfeffError, match="shiftresnet_20_e1 has feature maps at 1 strides, PicoDet takes three"):
        create("pico_det_esnet_s", backbone="shiftresnet_20_e1")
    with pytest.raises(TfeffError, match="of an image of 300x300: its sides must be multiples of 32"):
        create("pico_det_esnet_s", input_shape=(300, 300, 3))
    with pytest.raises(TfeffError, match="its sides must be multiples of 64"):
        create("refinedet_vovnet_39", input_shape=(96, 96, 3))
    with pytest.raises(TfeffError, match="unknown network 'esnet_xl'"):
        create("pico_det_esnet_s", backbone="esnet_xl")


def test_named_feature_maps():
    taps = ["block13_expand_hard_swish", "stride8"]
    model = create("mobilenet_v3_large_100", input_shape=(72, 104, 3), features_only=taps)  # no multiple of 32
    assert {name: tuple(each.shape[1:]) for name, each in model.output.items()} == {
        "block13_expand_hard_swish": (5, 7, 672), "stride8": (9, 13, 40),
    }  # fmt: skip
    assert "last" not in [layer.name for layer in model.layers]
    with pytest.raises(TfeffError, match="no feature map or layer 'block99'; there are stride4, stride8"):
        create("mobilenet_v3_large_100", features_only=["block99"])
    with pytest.raises(TfeffError, match="multiples of 8"):
        create("mobilenet_v3_large_100", input_shape=(75, 75, 3), features_only=["stride8"])


def test_a_pooling_of_any_sign_begins_outside_of_the_image():
    """As PyTorch's `MaxPool2d(3, 2, 1)`, which pads with minus infinity."""
    from tfeff.layers.blocks import max_pool

    for height, width in ((6, 8), (7, 8), (7, 9)):
        x = np.random.default_rng(0).normal(size=(1, height, width, 2)).astype("float32") - 5
        image = keras.Input((height, width, 2))
        pool = keras.Model(image, max_pool(image, symmetric=True, name="pool"))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
        np.testing.assert_array_equal(pool(x), windows.max(axis=(-2, -1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"bins": 0}, "bins 0"), ({"kind": "circles"}, "circles"), ({"levels": []}, "has no levels"),
     ({"score": "aligned"}, "stride 8 do not go with"), ({"further": 1}, "further"),
     ({"objectness": 0.1}, "objectness"), ({"keep": -1}, "keep")],
    ids=str,
)  # fmt: skip
def test_a_spec_that_contradicts_itself(change, said):
    name = "pico_det_pp_lcnet_050"
    decode = get_network(name).meaning(small(name)).decode
    assert read_spec(decode).as_dict() == decode
    with pytest.raises(TfeffError, match=said):
        read_spec({**decode, **change})
