"""Names of operations: no two alike in a network, the same at every export, and a user's own stay."""

import keras
import numpy as np
import pytest
import quantize_models
from keras import layers, ops

from tfeff.export.quantize.graph import fake_quant_graph
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target, list_targets
from tfeff.presets import load_preset

IMAGES = quantize_models.images(1)
REWRITTEN = ["activations", "more-built-in-activations", "slopes", "convolutions", "moves", "gate", "pools", "split"]
TARGETS = sorted(set(list_targets()) - {"web"})  # which gets what litert gets


def rewritten(model, target, images):
    return apply_rewrites(model, [load_rewrite(spec) for spec in get_target(target).rewrites], {"image": images})[0]


def names(model):
    return [operation.name for operation in model.operations]


@pytest.mark.parametrize(
    ("name", "target"),
    [(name, "litert") for name in quantize_models.BUILDERS]
    + [(name, target) for name in REWRITTEN for target in TARGETS if target != "litert"],
)
def test_are_the_same_every_time(name, target):
    model = quantize_models.build(name)
    first, second = (rewritten(model, target, IMAGES) for _ in range(2))
    assert names(first) == names(second)
    if target == "litert":
        assert names(fake_quant_graph(first)) == names(fake_quant_graph(second))


@pytest.mark.parametrize("target", TARGETS)
def test_of_a_user_are_no_obstacle_and_stay(target):
    """What a rewrite adds would be called `add`, `multiply`, `get_item` and `concatenate` in a new process."""
    keras.backend.clear_session()
    image = keras.Input((16, 16, 8), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="hard_silu", name="multiply")(image)
    x = layers.Add(name="add")([layers.Conv2D(8, 1, activation="hard_sigmoid", name="split")(x), x])
    x = layers.PReLU(shared_axes=[1, 2], name="concatenate")(x)
    x = layers.Conv2D(8, 3, groups=4, activation="hard_silu", name="get_item")(ops.maximum(x, -2.0))
    given = keras.Model(image, layers.Dense(3, name="take")(layers.GlobalAveragePooling2D(name="minimum")(x)))
    keras.backend.clear_session()  # as if it had been loaded: Keras counts from the beginning
    found = rewritten(given, target, np.random.default_rng(0).standard_normal((4, 16, 16, 8)).astype(np.float32))
    keras.backend.clear_session()
    graph = fake_quant_graph(found)
    for model in (found, graph):
        assert len(set(names(model))) == len(names(model))
    assert {"add", "minimum", "take"} <= set(names(found)) & set(names(given))


def test_a_model_within_the_model_that_is_called_twice():
    inner_image = keras.Input((8, 8, 4))
    inner = keras.Model(inner_image, layers.Conv2D(4, 3, padding="same")(inner_image[..., ::-1] + 1.0))
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(inner(inner(image))))
    x = np.random.default_rng(0).standard_normal((4, 8, 8, 4)).astype(np.float32)
    graph = fake_quant_graph(rewritten(model, "litert", x))
    assert len(set(names(graph))) == len(names(graph))


def test_of_a_preset_are_the_same_every_time():
    model = load_preset("shufflenet_v2").build()
    images = np.zeros((1, *model.inputs[0].shape[1:]), np.float32)
    first, second = (fake_quant_graph(rewritten(model, "litert", images)) for _ in range(2))
    assert names(first) == names(second)
