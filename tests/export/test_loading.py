"""A user's file: all of its inputs and outputs, by the names that their author gave, and what its heads tell."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tfeff.errors import TfeffError
from tfeff.export.loading import load
from tfeff.export.rewrites.graph import inline


def saved(model, tmp_path, loss=None):
    if loss is not None:
        model.compile(loss=loss)
    model.save(tmp_path / "model.keras")
    return load(tmp_path / "model.keras")


def activations(loaded):
    return [head.activation for head in loaded.heads]


def two_ports():
    a, b = keras.Input((8,), name="a"), keras.Input((None, 4), name="b", dtype="int32")
    x = layers.Concatenate()([a, ops.mean(ops.cast(b, "float32"), axis=1)])
    return a, b, layers.Dense(3, name="kind", activation="softmax")(x), layers.Dense(1, name="size")(x)


def test_names_and_order_of_lists(tmp_path):
    a, b, kind, size = two_ports()
    loaded = saved(keras.Model([b, a], [size, kind]), tmp_path)
    assert [(each.name, each.shape, each.dtype) for each in loaded.inputs] == [
        ("b", (None, 4), "int32"), ("a", (8,), "float32"),
    ]  # fmt: skip
    assert [head.output for head in loaded.heads] == ["size", "kind"]
    assert activations(loaded) == ["linear", "softmax"]


def test_names_of_dicts_are_their_keys_and_the_model_takes_them_in_order(tmp_path):
    a, b, kind, size = two_ports()
    loaded = saved(keras.Model({"b": b, "a": a}, {"z": kind, "q": size}), tmp_path, {"z": "categorical_crossentropy",
                                                                                   "q": "mse"})  # fmt: skip
    assert [each.name for each in loaded.inputs] == ["a", "b"]
    assert [(head.output, head.shape, head.loss) for head in loaded.heads] == [
        ("q", (1,), "mean_squared_error"), ("z", (3,), "categorical_crossentropy"),
    ]  # fmt: skip
    given = [np.ones((2, 8), "float32"), np.ones((2, 5, 4), "int32")]
    q, z = loaded.callable(given)
    wanted = keras.saving.load_model(tmp_path / "model.keras")({"a": given[0], "b": given[1]})
    np.testing.assert_array_equal(z, wanted["z"])
    np.testing.assert_array_equal(q, wanted["q"])


def test_names_that_no_signature_can_have(tmp_path):
    image = keras.Input((4,), name="my input")
    outputs = [
        layers.Dense(2, name="2nd")(image),
        layers.Dense(2, name="a.b")(image),
        layers.Dense(2, name="a_b")(image),
    ]
    loaded = saved(keras.Model(image, outputs), tmp_path)
    assert loaded.inputs[0].name == "my_input"
    assert [head.output for head in loaded.heads] == ["_2nd", "a_b", "a_b_2"]


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mean_squared_error"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), "sparse_categorical_crossentropy"),
        (keras.losses.binary_crossentropy, "binary_crossentropy"),
        (keras.losses.Huber(), "huber"),
        (["mae"], "mean_absolute_error"),
        (None, None),
    ],
    ids=["name", "object", "function", "object-of-two-words", "list", "none"],  # the same in every process
)
def test_the_loss_of_training(tmp_path, loss, name):
    loaded = saved(keras.Sequential([keras.Input((3,)), layers.Dense(2)]), tmp_path, loss)
    assert [head.loss for head in loaded.heads] == [name]


def test_activations_behind_what_only_moves_values_and_in_models_within(tmp_path):
    x = keras.Input((6,))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Softmax()])
    outputs = [
        layers.Reshape((2, 2))(inner(x)),
        ops.sigmoid(layers.Dense(2)(x)),
        layers.Dense(2, activation="relu")(x),
        layers.Dense(2)(x) * 3.0,
        layers.Activation("sigmoid")(layers.Dense(1)(x)),
        layers.Dense(2, activation="tanh")(x),
    ]
    loaded = saved(keras.Model(x, outputs), tmp_path)
    assert activations(loaded) == ["softmax", "sigmoid", "relu", "linear", "sigmoid", "tanh"]


def test_a_saved_model_with_several_ports(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="left"),
                                      tf.TensorSpec((None, 2), tf.int32, name="right")])  # fmt: skip
        def serve(self, left, right):
            return {"total": tf.reduce_sum(left, 1) + tf.cast(tf.reduce_sum(right, 1), tf.float32), "left": left * 2}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.serve})
    loaded = load(tmp_path / "saved")
    assert [(each.name, each.shape, each.dtype) for each in loaded.inputs] == [
        ("left", (4,), "float32"), ("right", (2,), "int32"),
    ]  # fmt: skip
    made = loaded.callable([np.ones((1, 4), "float32"), np.ones((1, 2), "int64")], training=False)
    assert {head.output for head in loaded.heads} == set(made) == {"total", "left"}
    assert float(made["total"][0]) == 6
    np.testing.assert_array_equal(made["left"], np.full((1, 4), 2))


def test_files_that_are_none(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    for name, words in (("none.keras", "no such file"), ("broken.keras", "cannot be loaded")):
        with pytest.raises(TfeffError, match=words):
            load(tmp_path / name)


def test_the_h5_of_keras_2(tmp_path):
    old = pytest.importorskip("tf_keras")
    model = old.Sequential([
        old.layers.Input((8, 8, 3)), old.layers.Conv2D(4, 3, activation="relu"), old.layers.BatchNormalization(),
        old.layers.GlobalAveragePooling2D(), old.layers.Dense(3, activation="softmax", name="kind"),
    ])  # fmt: skip
    model.save(tmp_path / "old.h5")
    loaded = load(tmp_path / "old.h5")
    assert [head.activation for head in loaded.heads] == ["softmax"]
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(loaded.callable(images, training=False), model(images, training=False), atol=1e-6)


@pytest.mark.parametrize("name", ["old.keras", "old.h5"])
def test_what_keras_3_cannot_read_of_keras_2_is_refused_with_the_way_on(tmp_path, name):
    old = pytest.importorskip("tf_keras")
    image = old.layers.Input((8, 8, 3), name="photo")
    x = old.layers.GlobalAveragePooling2D()(old.layers.DepthwiseConv2D(3)(image * 0.5))
    model = old.Model(image, old.layers.Dense(3, name="kind")(x))
    model.save(tmp_path / name)
    with pytest.raises(TfeffError, match=r"was saved by Keras 2\.\d+.*Keras 3 cannot read it") as refused:
        load(tmp_path / name)
    assert f"tf_keras.models.load_model('{name}').export('saved')" in refused.value.mend
    old.models.load_model(tmp_path / name).export(tmp_path / "saved")  # as it says
    loaded = load(tmp_path / "saved")
    images = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype("float32")
    (made,) = loaded.callable(images, training=False).values()
    np.testing.assert_allclose(made, model(images, training=False), atol=1e-6)


def test_weights_alone_are_no_model(tmp_path):
    keras.Sequential([keras.Input((2,)), layers.Dense(2)]).save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.weights.h5").rename(tmp_path / "m.h5")
    with pytest.raises(TfeffError, match="holds weights and no network"):
        load(tmp_path / "m.h5")


@pytest.fixture(scope="module")
def two_signatures(tmp_path_factory):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
        def double(self, x):
            return {"y": 2.0 * x}

        @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])
        def add(self, x):
            return {"y": x + 1.0}

    folder, module = tmp_path_factory.mktemp("two"), Two()
    for names in ("double", "add"), ("double",), ():
        signatures = {name: getattr(module, name) for name in names}
        tf.saved_model.save(module, str(folder / str(len(names))), signatures=signatures)
    return folder


def test_a_signature_is_chosen(two_signatures):
    ones = np.ones((1, 4), "float32")
    for name, wanted in (("double", 2 * ones), ("add", ones + 1)):
        np.testing.assert_array_equal(load(two_signatures / "2", signature=name).callable(ones)["y"], wanted)
    np.testing.assert_array_equal(load(two_signatures / "1").callable(3 * ones)["y"], 6 * ones)  # the only one


@pytest.mark.parametrize(
    ("folder", "signature", "said", "mend"),
    [
        ("2", None, "has the signatures add, double", "--signature NAME"),
        ("2", "half", "--signature half: .* has no such one", "choose add or double"),
        ("0", None, "has no signature", "model.export(FOLDER)"),
    ],
)
def test_signatures_that_are_not_clear(two_signatures, folder, signature, said, mend):
    with pytest.raises(TfeffError, match=said) as raised:
        load(two_signatures / folder, signature=signature)
    assert mend in raised.value.mend


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_file_runs_only_where_it_is_trusted(suffix, tmp_path):
    vector = keras.Input((4,))
    model = keras.Model(vector, layers.Dense(2)(layers.Lambda(lambda x: 2.0 * x + 1.0)(vector)))
    model.save(tmp_path / f"coded{suffix}")
    with pytest.raises(TfeffError, match="it holds Python code, a Lambda layer") as raised:
        load(tmp_path / f"coded{suffix}")
    assert "--trust-lambda" in raised.value.mend
    loaded = load(tmp_path / f"coded{suffix}", trust_lambda=True)
    ones = np.ones((1, 4), "float32")
    np.testing.assert_array_equal(loaded.callable(ones), model(ones))
    np.testing.assert_array_equal(inline(loaded.callable)(ones), model(ones))  # a copy of the layer runs it too


@pytest.mark.parametrize("name", ["a b", "a:b", "\x1b[31m", "ä", "a\n", "a>b", "..\\x", "_a", "-a"])
def test_names_of_layers_that_tensorflow_does_not_take(tmp_path, name):
    image = keras.Input((4,))
    inner = keras.Model(image, layers.Dense(2, name=name)(image), name="inner")
    for model in (inner, keras.Sequential([keras.Input((4,)), inner])):
        with pytest.raises(TfeffError, match="has a name that TensorFlow does not take") as refused:
            saved(model, tmp_path)
        assert repr(name) in refused.value.what
