"""Channel shuffle: folded whatever it is spelled like, past everything that keeps channels apart, and never by a
TRANSPOSE, a GATHER or a tensor of five dimensions."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from rewrite_models import chain, randomize

from tfeff import create
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites, rewrite_once
from tfeff.export.rewrites.graph import GraphView, inline
from tfeff.export.rewrites.selection import selection
from tfeff.layers import ChannelShuffle, ChannelSplit, GroupConv2D

FOLD = "channel_shuffle:fold"
IMAGES = np.random.default_rng(3).standard_normal((3, 8, 10, 12)).astype(np.float32)
MOVING = {"ChannelShuffle", "Transpose", "Permute", "Reshape", "Take", "Flip"}


def model_of(*stack, shape=IMAGES.shape[1:]):
    image = keras.Input(shape)
    return randomize(keras.Model(image, chain(image, stack)))


def kinds(model):
    return [type(operation).__name__ for operation in model.operations]


def fold(model, images=IMAGES):
    rewritten, applied = apply_rewrites(model, [load_rewrite(FOLD)], {"image": images})
    return rewritten, applied[0].places if applied else 0


def five_dimensions(x):
    """As the paper's own code has it: (n, h, w, c) -> (n, h, w, 3, c/3) -> swapped -> back."""
    x = layers.Reshape((8, 10, 3, 4))(x)
    x = layers.Permute((1, 2, 4, 3))(x)
    return layers.Reshape((8, 10, 12))(x)


def operations(x):
    x = ops.reshape(x, (-1, 8, 10, 3, 4))
    return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, 8, 10, 12))


SPELLINGS = {
    "layer": ChannelShuffle(3),
    "reshape and permute": five_dimensions,
    "operations": operations,
    "take": lambda x: ops.take(x, [5, 0, 11, 2, 1, 3, 4, 6, 10, 7, 8, 9], axis=-1),
    "backwards": lambda x: x[..., ::-1],
    "interleaved halves": lambda x: layers.Concatenate()([x[..., 0::2], x[..., 1::2]]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_folded_into_the_convolutions_around(spelling):
    model = model_of(layers.Conv2D(12, 1), SPELLINGS[spelling], layers.Conv2D(5, 3))
    rewritten, places = fold(model)
    assert places >= 1
    assert kinds(rewritten) == ["InputLayer", "Conv2D", "Conv2D"]


@pytest.mark.parametrize(
    "between",
    [
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.PReLU(shared_axes=[1, 2]),
        layers.PReLU(),
        layers.Activation("hard_silu"),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.MaxPooling2D(2),
        layers.AveragePooling2D(2),
        layers.ZeroPadding2D(1),
        layers.UpSampling2D(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_works_on_each_channel_alone_carries_the_order(between):
    model = model_of(layers.Conv2D(12, 1), ChannelShuffle(4), between, layers.Conv2D(5, 1))
    rewritten, places = fold(model)
    assert places == 1
    assert not MOVING & {*kinds(rewritten)}
    assert kinds(rewritten).count("Conv2D") == 2


def test_a_classifier_takes_any_order():
    model = model_of(layers.Conv2D(12, 1), ChannelShuffle(2), layers.GlobalAveragePooling2D(), layers.Dense(4))
    rewritten, places = fold(model)
    assert (places, kinds(rewritten)) == (1, ["InputLayer", "Conv2D", "GlobalAveragePooling2D", "Dense"])


def test_flatten_of_one_pixel_carries_and_of_several_does_not():
    one = model_of(layers.Conv2D(12, (8, 10)), ChannelShuffle(2), layers.Flatten(), layers.Dense(4))
    assert not MOVING & {*kinds(fold(one)[0])}
    several = model_of(layers.Conv2D(12, 3), ChannelShuffle(2), layers.Flatten(), layers.Dense(4))
    rewritten, _ = fold(several)
    assert "ChannelShuffle" not in kinds(rewritten)  # a 1x1 convolution or slices instead


@pytest.mark.parametrize(
    "behind",
    [
        [GroupConv2D(12, 3, 4)],
        [layers.SeparableConv2D(4, 3)],
        [layers.DepthwiseConv2D(3, depth_multiplier=2)],
        [layers.Softmax()],
        [],
    ],
    ids=["group convolution", "separable", "multiplier", "softmax", "output"],
)
def test_what_wants_its_own_order_gets_it(behind):
    model = model_of(layers.Conv2D(12, 1), ChannelShuffle(3), *behind)
    rewritten, places = fold(model)
    assert places == 1
    assert not MOVING & {*kinds(rewritten)}


def test_a_sum_gets_both_in_their_own_order():
    image = keras.Input(IMAGES.shape[1:])
    x = layers.Conv2D(12, 1)(image)
    model = randomize(keras.Model(image, layers.Conv2D(3, 1)(layers.Add()([ChannelShuffle(2)(x), x]))))
    rewritten, places = fold(model)
    assert places == 1
    assert not MOVING & {*kinds(rewritten)}


def test_few_runs_become_slices_many_a_convolution():
    few = model_of(layers.Conv2D(12, 1), ChannelShuffle(6), layers.Softmax())
    many = model_of(layers.Conv2D(64, 1), ChannelShuffle(2), layers.Softmax())
    swapped = model_of(layers.ReLU(), lambda x: layers.Concatenate()([x[..., 6:], x[..., :6]]), layers.Softmax())
    assert kinds(fold(swapped)[0]).count("GetItem") == 2
    assert kinds(fold(many)[0]).count("Conv2D") == 2
    assert not MOVING & {*kinds(fold(few)[0])}


def test_split_parts_and_outputs_of_their_own():
    image = keras.Input(IMAGES.shape[1:])
    x = ChannelShuffle(2)(layers.Conv2D(12, 1)(image))
    a, b = ChannelSplit(2)(x)
    model = randomize(keras.Model(image, {"a": layers.Conv2D(3, 1)(a), "b": b, "whole": x}))
    expected = model(IMAGES)
    rewritten, places = fold(model)
    assert places == 1
    for name, value in rewritten(IMAGES).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_a_split_alone_is_no_shuffle():
    image = keras.Input(IMAGES.shape[1:])
    a, b = ChannelSplit(2)(image)
    model = keras.Model(image, layers.Concatenate()([b, layers.ReLU()(a)]))
    assert rewrite_once(model, load_rewrite(FOLD)) == (model, 0)


def test_a_map_of_unknown_size_is_left_alone():
    image = keras.Input((None, None, 12))
    model = randomize(keras.Model(image, layers.Conv2D(3, 1)(ChannelShuffle(2)(layers.Conv2D(12, 1)(image)))))
    rewritten, places = fold(model)
    assert places == 0
    assert rewritten is model


def test_a_spatial_reordering_is_not_taken_for_a_selection():
    for spelling in (lambda x: x[:, ::-1], lambda x: ops.transpose(x, (0, 2, 1, 3)), lambda x: x * 2.0):
        model = inline(model_of(layers.ReLU(), spelling))
        assert selection(model.operations[-1], GraphView(model)) is None


@pytest.mark.parametrize("options", [{}, {"stride2_unit": "original"}, {"symmetric_padding": True}], ids=str)
@pytest.mark.parametrize("name", ["shufflenet_v2_x050", "shufflenet_v2_x150"])
def test_shufflenet_keeps_only_slices(name, options):
    model = randomize(create(name, input_shape=(32, 32, 3), classes=10, small_image=True, **options))
    images = np.random.default_rng(0).standard_normal((3, 32, 32, 3)).astype(np.float32)
    rewritten, places = fold(model, images)
    assert places >= 13
    found = kinds(rewritten)
    assert not (MOVING | {"ChannelSplit", "Split"}) & {*found}
    assert found.count("Conv2D") == kinds(model).count("Conv2D")  # no convolution that only permutes


def test_shufflenet_feature_maps_keep_their_order():
    model = randomize(create("shufflenet_v2_x050", input_shape=(32, 32, 3), features_only=True))
    images = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    expected = model(images)
    rewritten, _ = rewrite_once(model, load_rewrite(FOLD))
    for name, value in rewritten(images).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
