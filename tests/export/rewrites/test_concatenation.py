"""Concatenations that go: behind a strided depthwise convolution, or into a GhostNet module's own convolutions."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import kinds, randomize, rewritten, stack
from rounding import assert_same

from tfeff import create
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_once

SINK, DOUBLE = "concatenation:sink", "ghost_module:double"


def joined(*behind, sizes=(4, 7)):
    """Two convolutions, joined, and what reads them."""

    def join(x):
        return layers.Concatenate()([layers.Conv2D(size, 1)(x) for size in sizes])

    return stack(join, *behind, layers.Conv2D(3, 1))


@pytest.mark.parametrize(
    "behind",
    [
        [layers.DepthwiseConv2D(3, strides=2, padding="same")],
        [layers.DepthwiseConv2D(3, strides=2, use_bias=False), layers.BatchNormalization(), layers.ReLU()],
        [layers.DepthwiseConv2D(5, strides=2, padding="same"), layers.BatchNormalization(scale=False)],
    ],
    ids=["bias", "bn-relu", "bn"],
)
def test_sinks_behind_a_strided_depthwise_convolution(behind):
    new, places = rewritten(joined(*behind), SINK)
    assert places == 1
    found = kinds(new)
    assert found.count("DepthwiseConv2D") == 2
    assert found.index("Concatenate") > max(i for i, kind in enumerate(found) if kind == "DepthwiseConv2D")
    assert found[-2:] == ["Concatenate", "Conv2D"]


@pytest.mark.parametrize(
    "behind",
    [
        [layers.DepthwiseConv2D(3)],
        [layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)],
        [layers.ReLU(), layers.DepthwiseConv2D(3, strides=2)],
        [lambda x: layers.Add()([layers.DepthwiseConv2D(1, strides=2)(x), layers.MaxPooling2D(2, padding="same")(x)])],
    ],
    ids=["no stride", "multiplier", "not directly", "read twice"],
)
def test_stays_elsewhere(behind):
    model = joined(*behind)
    assert rewrite_once(model, load_rewrite(SINK)) == (model, 0)


def module(filters=4, *, relu=True, bn=True, kernel=3, cheap_relu=None, also=None, **options):
    """A GhostNet module; `also` reads its first half too."""

    def finish(x, on):
        x = layers.BatchNormalization()(x) if bn else x
        return layers.ReLU()(x) if on else x

    def ghost(x):
        first = finish(layers.Conv2D(filters, 1, use_bias=not bn)(x), relu)
        options.setdefault("padding", "same")
        cheap = finish(
            layers.DepthwiseConv2D(kernel, use_bias=not bn, **options)(first),
            relu if cheap_relu is None else cheap_relu,
        )
        joined = layers.Concatenate()([first, cheap])
        return layers.Concatenate()([joined, also(first)]) if also else joined

    return stack(ghost, layers.Conv2D(3, 1))


@pytest.mark.parametrize("options", [{}, {"relu": False}, {"bn": False}, {"kernel": (1, 5)}, {"filters": 8}], ids=str)
def test_a_module_of_few_channels_loses_its_concatenation(options):
    new, places = rewritten(module(**options), DOUBLE)
    assert places == 1
    assert "Concatenate" not in kinds(new)
    doubled = next(layer for layer in new.layers if isinstance(layer, layers.Conv2D))
    assert doubled.filters == 2 * options.get("filters", 4)


@pytest.mark.parametrize(
    "options",
    [{"filters": 9}, {"cheap_relu": False}, {"kernel": 2}, {"also": layers.ReLU()}],
    ids=["too wide", "other activation", "even kernel", "read by a third"],
)
def test_other_modules_stay(options):
    model = module(**options)
    assert rewrite_once(model, load_rewrite(DOUBLE)) == (model, 0)


def test_the_order_of_the_halves_matters():
    image = keras.Input((9, 8, 6))
    first = layers.Conv2D(4, 1)(image)
    cheap = layers.DepthwiseConv2D(3, padding="same")(first)
    model = randomize(keras.Model(image, layers.Concatenate()([cheap, first])))
    assert rewrite_once(model, load_rewrite(DOUBLE)) == (model, 0)


@pytest.mark.parametrize(("spec", "places"), [(SINK, 4), (DOUBLE, 2)])
def test_ghostnet(spec, places):
    model = randomize(create("ghostnet_100", input_shape=(64, 64, 3), classes=10))
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
    new, found = rewrite_once(model, load_rewrite(spec))
    assert found == places
    assert_same(new(images), model(images), model, images)
