"""The bridge to tf_keras: every family's smallest network, and every layer that a plan has a word for, computes the
same there; what has no word is named. The other Keras is the independent source."""

import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from classifiers import classifiers
from keras import layers, ops
from rewrite_models import randomize
from rounding import assert_rounding
from tfmot_small import needs_tfmot

from tfeff import create
from tfeff.compress.tfmot import bridge, process
from tfeff.compress.tfmot.drawing import draw
from tfeff.errors import TfeffError
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once
from tfeff.layers import BatchNorm, ChannelShuffle, ChannelSplit, GroupConv2D, StridedDilatedDepthwiseConv2D
from tfeff.networks import get_network, index

pytestmark = needs_tfmot

SHAPE = (32, 32, 3)
VECTOR = np.linspace(0.5, 2, 6, dtype=np.float32)
# On maps of (9, 8, 6).
LAYERS = {
    "conv": lambda x: layers.Conv2D(5, 3, strides=2, activation="relu6")(x),
    "conv-dilated": lambda x: layers.Conv2D(5, 3, dilation_rate=2, padding="same", use_bias=False)(x),
    "conv-groups": lambda x: layers.Conv2D(4, 3, groups=2, padding="same")(x),
    "group-conv": lambda x: GroupConv2D(9, 3, 2, strides=2, padding="same", activation="silu")(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same")(x),
    "strided-dilated": lambda x: StridedDilatedDepthwiseConv2D(3, 2, 2, activation="relu")(x),
    "strided-dilated-odd": lambda x: StridedDilatedDepthwiseConv2D(3, 2, 3)(x),
    "transposed": lambda x: layers.Conv2DTranspose(5, 3, strides=2, padding="same")(x),
    "dense": lambda x: layers.Dense(7, activation="tanh")(layers.Flatten()(x)),
    "batch-norm": lambda x: layers.BatchNormalization(scale=False, epsilon=0.01)(BatchNorm()(x)),
    "merges": lambda x: layers.Maximum()([layers.Add()([x, 2 * x, x]), layers.Subtract()([x, x * x])]),
    "average": lambda x: layers.Average()([x, x * x, -x]),
    "minimum": lambda x: ops.maximum(0.1, ops.minimum(layers.Minimum()([x, x * x]), x)),
    "pools": lambda x: layers.AveragePooling2D(3, 1, padding="same")(layers.MaxPooling2D(2, 1)(x)),
    "global-average": lambda x: layers.GlobalAveragePooling2D(keepdims=True)(x),
    "global-maximum": lambda x: layers.GlobalMaxPooling2D()(x),
    "mean": lambda x: ops.mean(x, axis=(1, 2)),
    "padding": lambda x: ops.pad(layers.ZeroPadding2D(((1, 0), (2, 1)))(x), [[0, 0], [0, 1], [1, 0], [0, 0]]),
    "cropping": lambda x: layers.Cropping2D(((1, 2), (0, 3)))(x),
    "resizes": lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear")(layers.UpSampling2D(2)(x)),
    "shapes": lambda x: ops.transpose(ops.reshape(layers.Permute((2, 1, 3))(x), (-1, 72, 6)), (0, 2, 1)),
    "shuffle": lambda x: ChannelShuffle(3)(x),
    "splits": lambda x: layers.Concatenate()([*ChannelSplit(2)(x)[::-1], *ops.split(x, [1, 3], axis=-1)[1:]]),
    "slices": lambda x: layers.Concatenate()([x[..., 2:-1], x[:, :, :, :1], x[..., ::2]])[:, 1::2, -6:],
    "integer-subscript": lambda x: x[:, 2, :, 3:],
    "take": lambda x: ops.take(x, [3, 0, 0, 5], axis=-1),
    "arithmetic": lambda x: (3 - x) / 6 * VECTOR + VECTOR - 1.5,
    "rescaling": lambda x: layers.Rescaling(0.25, offset=-0.5)(x),
    "relus": lambda x: layers.ReLU(3.0, negative_slope=0.1)(x) + layers.LeakyReLU(0.2)(x) + ops.leaky_relu(x, 0.3),
    "threshold": lambda x: layers.ReLU(threshold=0.5)(x),
    "prelu": lambda x: layers.PReLU(shared_axes=[1, 2])(x) + layers.PReLU()(x),
    "hard": lambda x: layers.Activation("hard_sigmoid")(x) + layers.Activation("hard_silu")(x) + ops.hard_silu(x),
    "functions": lambda x: layers.Activation("gelu")(x) + layers.ELU()(x) + ops.sigmoid(x) + ops.silu(ops.tanh(x)),
    "softmax": lambda x: layers.Softmax()(x) + ops.softmax(x),
}  # fmt: skip


class Doubled(layers.Layer):
    """What no plan has a word for."""

    def call(self, x):
        return 2 * x


def on_maps(make, name):
    image = keras.Input((9, 8, 6))
    return randomize(keras.Model(image, make(image), name=name))


def smallest_networks():
    """The smallest network of each family."""
    found = {}
    for name in sorted(classifiers(), key=lambda name: index()[name]["counted"]["parameters"]):
        found.setdefault(get_network(name).family, name)
    return sorted(found.values())


# Between them they have all kinds of layers; `benchmarks/tfmot.py` has every preset.
NETWORKS = ["as_resnet_w32", "espnet_v2_050", "pp_lcnet_025", "shufflenet_v2_x050", "vargfacenet"]


def network(name):
    keras.utils.set_random_seed(1)
    model = randomize(create(name, input_shape=SHAPE, classes=10, small_image=True))
    # What a learned shift needs before it can be converted at all; the others are rebuilt as they are.
    return rewrite_once(model, load_rewrite("freeze_shift"))[0] if draw(model).refusals else model


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    """{case: what the process of tf_keras said, the model, its images}, of networks and layers, and of one whose
    weights were changed on the way."""
    rng = np.random.default_rng(0)
    models, images = {}, {}
    for name in NETWORKS:
        models[name], images[name] = network(name), rng.standard_normal((2, *SHAPE)).astype("float32")
    for name, make in LAYERS.items():
        models[name] = on_maps(make, name.replace("-", "_"))
        images[name] = rng.standard_normal((4, 9, 8, 6)).astype("float32")
    tasks = {name: process.Task("prove", bridge.plan_of(model), model, images[name]) for name, model in models.items()}
    changed = draw(models["conv"])
    changed.weights["0/0"] = changed.weights["0/0"] * np.float32(1.001)
    tasks["changed"] = process.Task("prove", changed, models["conv"], images["conv"])
    models["changed"], images["changed"] = models["conv"], images["conv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "TOLERANCE", 1e-4)  # of networks with random weights; their own bar is below
        said = process.run_all(list(tasks.values()), tmp_path_factory.mktemp("bridge"), keep_going=True)
    return {name: (answer, models[name], images[name]) for name, answer in zip(tasks, said, strict=True)}


@pytest.mark.parametrize("name", sorted({*smallest_networks()} - {*NETWORKS}))
def test_every_family_has_words_for_all_its_layers(name):
    assert bridge.refusals(network(name)) == []


@pytest.mark.parametrize("name", [*NETWORKS, *LAYERS])
def test_is_the_same_in_tf_keras(proven, name):
    answer, model, images = proven[name]
    assert_rounding(answer["relative_error"], model, images, bar=1e-5)


def test_another_function_is_not_taken_for_the_same(proven):
    answer, *_ = proven["changed"]
    assert answer["kind"] == "Unequal"
    assert "of the largest output" in answer["error"]


def test_all_layers_without_a_word_are_named():
    def make(x):
        x = Doubled(name="first")(x)
        x = layers.LayerNormalization(name="second")(layers.Conv2D(4, 1)(x))
        x = layers.Conv2D(4, 1, name="third", activation="log_sigmoid")(x)
        return ops.cumsum(x, axis=1)

    model = on_maps(make, "odd")
    found = {(each.layer.split("_")[0], each.kind) for each in bridge.refusals(model)}
    assert found == {("first", "Doubled"), ("second", "LayerNormalization"), ("third", "Conv2D"), ("cumsum", "Cumsum")}
    with pytest.raises(TfeffError) as refused:
        bridge.plan_of(model)
    for word in ("4 of its layers", "Doubled", "LayerNormalization", "log_sigmoid", "Cumsum"):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda x: x[:, ::-1], "backwards"),
        (lambda x: ops.flip(x, axis=1), "no word"),
        (lambda x: 1 / x, "divides by something computed"),
        (lambda x: layers.Softmax(axis=1)(x), "last axis"),
        (lambda x: layers.ELU(alpha=0.5)(x), "alpha"),
        (lambda x: layers.UpSampling2D(2, interpolation="bicubic")(x), "bicubic"),
        (lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"), "zeros"),
        (lambda x: layers.Conv2D(4, 1, dtype="float16")(x), "float16"),
    ],
)
def test_a_form_without_a_word_is_refused(make, word):
    (refusal,) = bridge.refusals(on_maps(make, "odd"))
    assert word in refusal.why


def test_tfmot_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    with pytest.raises(TfeffError, match=r"pip install 'tfeff\[tfmot\]'"):
        process.check_installed()


def test_a_process_that_dies_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "__file__", str(Path(__file__).with_name("no_such_folder") / "process.py"))
    model = on_maps(LAYERS["conv"], "conv")
    with pytest.raises(TfeffError, match="tfmot's process died"):
        process.run(process.Task("prove", draw(model), model, np.ones((1, 9, 8, 6), np.float32)), tmp_path)


def test_keras_3_stays_what_it_is(proven):
    """The other Keras was never loaded here, and nothing in this process was told to use it."""
    assert keras.version().startswith("3.")
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert "tensorflow_model_optimization" not in sys.modules
