"""Rewrites: equal by proof, on our layers and on a user's own graph, and the proof itself can fail."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import chain

from tfeff.errors import TfeffError
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.copying import copy_layer
from tfeff.export.rewrites.core import Match, Rewrite, apply_rewrites, rewrite_once, rewrite_proven
from tfeff.export.rewrites.proving import MOST, TOLERANCE
from tfeff.layers import GroupConv2D
from tfeff.networks import create

IMAGES = np.random.default_rng(3).standard_normal((4, 16, 16, 8)).astype(np.float32)


def randomize(model, seed=0):
    """Weights and BN statistics as a trained network has them: none at its neutral start value."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(rng.standard_normal(variable.shape) * 0.1)
    return model


def build(*stack, shape=(16, 16, 8)):
    image = keras.Input(shape)
    return randomize(keras.Model(image, chain(image, stack), name="net"))


def kinds(model):
    return [type(operation).__name__ for operation in model.operations]


SPLIT = "group_conv:split"


@pytest.mark.parametrize(
    ("stack", "left"),
    [
        ([GroupConv2D(16, 3, 4, padding="same")], []),
        ([GroupConv2D(16, 3, 4, use_bias=False), layers.BatchNormalization(), layers.ReLU()], []),
        ([GroupConv2D(16, 3, 4, strides=2, padding="same"), layers.BatchNormalization()], []),
        ([GroupConv2D(8, (1, 3), 2, dilation_rate=2), layers.ReLU(6.0)], []),
        ([GroupConv2D(8, 3, 2, activation="relu"), layers.BatchNormalization()], ["BatchNormalization"]),
        ([layers.Conv2D(16, 3, groups=2), layers.BatchNormalization(scale=False), layers.Activation("relu")], []),
        ([layers.Conv2D(16, 3, groups=8), layers.BatchNormalization(center=False), layers.LeakyReLU()], ["LeakyReLU"]),
    ],
    ids=["bias", "bn-relu", "stride-bn", "dilated-relu6", "activation-before-bn", "keras-conv", "leaky-stays"],
)
def test_split_group_conv_is_equal_and_takes_the_chain(stack, left):
    model = build(*stack)
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert (applied.name, applied.form) == ("group_conv", "split")
    assert applied.places == 1
    assert applied.relative_error < 1e-5
    np.testing.assert_allclose(rewritten(IMAGES), model(IMAGES), atol=2e-5)
    found = kinds(rewritten)
    assert "Split" in found
    assert "Concatenate" in found
    for kind in ("GroupConv2D", "BatchNormalization", "ReLU", "Activation", "LeakyReLU"):
        assert (kind in found) == (kind in left), found


def test_split_group_conv_leaves_single_groups_alone():
    model = build(GroupConv2D(8, 3, 8), layers.Conv2D(4, 1))
    rewritten, applied = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert rewritten is model
    assert applied == []


def test_split_group_conv_does_not_swallow_a_bn_that_others_see():
    image = keras.Input((16, 16, 8))
    x = GroupConv2D(8, 3, 4, padding="same")(image)
    y = layers.BatchNormalization()(x)
    model = randomize(keras.Model(image, layers.Add()([x, y])))  # x is read twice
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert "BatchNormalization" in kinds(rewritten)
    assert applied.relative_error < 1e-5


def test_split_group_conv_keeps_outputs_of_the_model():
    image = keras.Input((16, 16, 8))
    x = GroupConv2D(8, 3, 4, padding="same")(image)
    model = randomize(keras.Model(image, [x, layers.ReLU()(x)]))
    rewritten, places = rewrite_once(model, load_rewrite(SPLIT))
    assert places == 1
    for new, old in zip(rewritten(IMAGES), model(IMAGES), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


def test_a_shared_layer_is_rewritten_at_each_call():
    shared = GroupConv2D(8, 3, 4, padding="same")
    image = keras.Input((16, 16, 8))
    model = randomize(keras.Model(image, shared(shared(image))))
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert applied.places == 2
    np.testing.assert_allclose(rewritten(IMAGES), model(IMAGES), atol=2e-5)


def test_split_group_conv_reaches_into_nested_models():
    inner = build(GroupConv2D(16, 3, 4, padding="same"), layers.BatchNormalization())
    model = build(layers.Conv2D(8, 1), inner, layers.ReLU())
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert applied.places == 1
    np.testing.assert_allclose(rewritten(IMAGES), model(IMAGES), atol=2e-5)


def test_rewriting_leaves_the_given_model_as_it_was():
    model = build(GroupConv2D(16, 3, 4), layers.BatchNormalization(), layers.ReLU())
    before, weights = kinds(model), [np.asarray(w) for w in model.weights]
    expected = np.asarray(model(IMAGES))
    apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert kinds(model) == before
    for now, then in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(model(IMAGES), expected)


def test_split_vargnet_has_no_group_conv_left():
    model = randomize(create("vargnet_v1_025_g8", input_shape=(32, 32, 3), classes=10, small_image=True))
    groups = [layer for layer in model.layers if isinstance(layer, GroupConv2D)]
    several = [layer for layer in groups if layer.groups > 1]
    images = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype(np.float32)
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": images})
    assert applied.places == len(several) > 10
    assert sum(isinstance(layer, GroupConv2D) for layer in rewritten.layers) == len(groups) - len(several)


class Wrong(Rewrite):
    """Multiplies every ReLU by 1.001."""

    name = "wrong"

    def match(self, layer, graph):
        if isinstance(layer, layers.ReLU):
            return Match([layer], lambda x: layers.Rescaling(1.001)(layers.ReLU()(x)))
        return None


def test_a_rewrite_that_changes_the_output_is_refused():
    model = build(layers.Conv2D(8, 3), layers.ReLU())
    with pytest.raises(TfeffError, match="rewrite wrong changed the output") as refused:
        apply_rewrites(model, [Wrong()], {"image": IMAGES})
    assert refused.value.exit_code == 2


def test_a_rewrite_that_yields_nan_is_refused():
    class Nan(Wrong):
        def match(self, layer, graph):
            if isinstance(layer, layers.ReLU):
                return Match([layer], lambda x: layers.Rescaling(float("nan"))(x))
            return None

    with pytest.raises(TfeffError, match="changed the output"):
        apply_rewrites(build(layers.Conv2D(8, 3), layers.ReLU()), [Nan()], {"image": IMAGES})


def test_unknown_rewrite_is_named():
    with pytest.raises(ModuleNotFoundError, match="no_such_rewrite"):
        load_rewrite("no_such_rewrite")


def test_sequential_models_are_rewritten():
    model = randomize(
        keras.Sequential([keras.Input((16, 16, 8)), GroupConv2D(16, 3, 4), layers.BatchNormalization(), layers.ReLU()])
    )
    rewritten, (applied,) = apply_rewrites(model, [load_rewrite(SPLIT)], {"image": IMAGES})
    assert applied.places == 1
    np.testing.assert_allclose(rewritten(IMAGES), model(IMAGES), atol=2e-5)


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TfeffError, match="no graph"):
        rewrite_once(Subclassed(), load_rewrite(SPLIT))


def test_where_a_form_s_rounding_is_magnified_the_exact_one_is_taken():
    class Rounding(Rewrite):
        """In one form right but for 1e-4, in the other right."""

        name = "rounding"
        forms = ("native", "right", "rough")
        exact = "right"

        def match(self, layer, graph):
            factor = 1.0001 if self.form == "rough" else 1.0
            return Match([layer], lambda x: layers.ReLU()(x) * factor) if isinstance(layer, layers.ReLU) else None

    model = build(layers.Conv2D(8, 3), layers.ReLU())
    rewritten, (applied,) = apply_rewrites(model, [Rounding("rough")], {"image": IMAGES})
    assert (applied.form, applied.relative_error) == ("right", 0)
    np.testing.assert_array_equal(rewritten(IMAGES), model(IMAGES))


def steep(factor):
    """A network of which the last bit of the input makes much."""
    return build(layers.Conv2D(8, 3), lambda x: keras.ops.sin(layers.Rescaling(factor)(x)), layers.ReLU())


def test_what_a_network_s_own_rounding_hides_is_left_out():
    made = rewrite_proven(steep(1e6), [Wrong(), load_rewrite(SPLIT)], {"image": IMAGES})
    assert made.applied == ()
    (why,) = made.left_out
    assert why.startswith("rewrite wrong was left out: it moves an output by ")


class Nudge(Rewrite):
    """Moves the input of a layer by its last bit, as sums in another order do."""

    name = "nudge"

    def match(self, layer, graph):
        return Match([layer], lambda x: copy_layer(layer)(x * 1.0000001)) if isinstance(layer, layers.Rescaling) else None


@pytest.mark.parametrize(("factor", "taken"), [(100, True), (3e4, False)])
def test_what_is_less_than_the_last_bit_of_the_input_does_is_taken(factor, taken):
    made = rewrite_proven(steep(factor), [Nudge()], {"image": IMAGES})
    assert len(made.applied) == taken == (not made.left_out)
    if taken:
        assert TOLERANCE < made.applied[0].relative_error <= made.allowed <= MOST


def test_a_network_that_magnifies_rounding_is_named_as_such():
    with pytest.raises(TfeffError, match="rewrite wrong changed the output") as refused:
        apply_rewrites(steep(30), [Wrong()], {"image": IMAGES})
    assert "magnifies rounding" in refused.value.mend
