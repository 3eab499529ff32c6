"""A user's file as a model: shapes, preprocessing, names and tasks of its ports, by the file and by the options."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfeff.cli.source import Source, parse_shapes
from tfeff.cli.user_model import build_user_model
from tfeff.errors import TfeffError

IMAGE = {"mean": (127.5,), "std": (127.5,)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: path of a `.keras` file}."""
    folder = tmp_path_factory.mktemp("models")
    photo, grey = keras.Input((None, None, 3), name="photo"), keras.Input((8, 8, 1), name="grey")
    wave, words = keras.Input((None, 2), name="wave"), keras.Input((5,), dtype="int32", name="words")
    pooled = layers.GlobalAveragePooling2D()
    heard = layers.GlobalAveragePooling1D()(wave)
    counted = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(words))
    models = {
        "open_image": keras.Model(photo, layers.Dense(4, activation="softmax")(pooled(photo))),
        "two_images": keras.Model([grey, photo], layers.Dense(2, name="depth")(
            layers.Concatenate()([layers.Flatten()(grey), pooled(photo)]))),
        "wave": keras.Model(wave, layers.Dense(3, name="code")(heard)),
        "mixed": keras.Model([grey, words], [layers.Dense(3, activation="softmax", name="kind")(counted),
                                             layers.Conv2D(2, 1, name="map")(grey)]),
        "linear": keras.Model(grey, layers.Dense(3, name="last")(layers.Flatten()(grey))),
    }  # fmt: skip
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    return {name: str(folder / f"{name}.keras") for name in models}


def build(path, **options):
    return build_user_model(Source(path, **options))


def refused(path, *words, **options):
    with pytest.raises(TfeffError) as error:
        build(path, **options)
    text = f"{error.value.what} {error.value.mend}"
    for word in words:
        assert word in text, text


def test_one_image_is_called_image_and_one_list_of_scores_logits(files):
    model = build(files["open_image"], input_size=(6, 9), **IMAGE)
    (port,) = model.inputs
    assert (port.name, port.shape, port.dtype) == ("image", (6, 9, 3), "float32")
    assert (port.preprocessing.size, port.preprocessing.mean) == ((6, 9), (127.5,) * 3)
    assert (model.outputs, model.tasks[0].outputs) == (("logits",), ["logits"])
    assert model.tasks[0].decode == {"kind": "classes", "scores": "probabilities"}
    outputs = model.run({"image": np.zeros((2, 6, 9, 3), "float32")})
    np.testing.assert_allclose(outputs["logits"].sum(-1), 1, rtol=1e-5)
    assert model.notes == ()


def test_several_inputs_keep_their_names(files):
    model = build(files["two_images"], input_size=(8, 8), **IMAGE)
    assert [(port.name, port.preprocessing.colour) for port in model.inputs] == [("grey", "gray"), ("photo", "rgb")]
    assert model.outputs == ("depth",)
    assert any("depth means is not known" in note for note in model.notes)


def test_what_no_mean_is_said_of_is_given_as_arrays(files):
    model = build(files["linear"])
    (port,) = model.inputs
    assert (port.name, port.preprocessing) == ("grey", None)
    assert "grey as arrays" in model.notes[0]
    assert model.image is None


def test_tasks_of_several_outputs(files):
    model = build(files["mixed"])
    assert [(port.name, port.dtype) for port in model.inputs] == [("grey", "float32"), ("words", "int32")]
    assert [(task.name, task.outputs) for task in model.tasks] == [("classification", ["kind"]), ("tensors", ["map"])]
    model = build(files["mixed"], tasks=("kind=regression", "map=tensors"))
    assert [(task.name, task.outputs) for task in model.tasks] == [("regression", ["kind"]), ("tensors", ["map"])]
    assert not any("not known" in note for note in model.notes)


@pytest.mark.parametrize(
    ("labels", "task"),
    [(np.arange(20) % 3, "classification"), (np.random.default_rng(0).normal(size=(20, 3)), "regression")],
    ids=["classes", "numbers"],
)
def test_labels_tell_what_a_linear_output_is(files, tmp_path, labels, task):
    np.savez(tmp_path / "set.npz", images=np.zeros((20, 8, 8, 1), "uint8"), labels=labels)
    model = build(files["linear"], dataset=str(tmp_path / "set.npz"), **IMAGE)
    assert model.tasks[0].name == task
    assert build(files["linear"], **IMAGE).tasks[0].name == "tensors"
    said = build(files["linear"], tasks=("classification:multi-label",), dataset=str(tmp_path / "set.npz"), **IMAGE)
    assert said.tasks[0].decode == {"kind": "multi-label", "scores": "logits"}


def test_open_shapes(files):
    refused(files["wave"], "wave", "--input-shape wave=1,N,2")
    refused(files["open_image"], "photo", "--input-size", "--input-shape photo=1,N,N,3", **IMAGE)
    model = build(files["wave"], input_shapes=parse_shapes(("wave=1,40,2",)))
    assert model.inputs[0].shape == (40, 2)
    refused(files["wave"], "(1, ?, 2)", "(40, 3)", input_shapes=parse_shapes(("wave=1,40,3",)))
    refused(files["wave"], "no such input", "wave", input_shapes=parse_shapes(("sound=1,40,2",)))
    refused(files["linear"], "(1, 8, 8, 1)", "--input-size", input_size=(9, 9), **IMAGE)


@pytest.mark.parametrize("word", ["wave", "wave=", "=1,2", "wave=1,x", "wave=2,40", "wave=1,0"])
def test_words_that_are_no_shape(word):
    with pytest.raises(TfeffError, match="--input-shape"):
        parse_shapes((word,))


def test_options_that_do_not_fit(files):
    refused(files["wave"], "has no channels", "an image is (h, w, 1)", input_shapes={"wave": (40, 2)}, **IMAGE)
    refused(files["linear"], "--mean", "--std", mean=(1.0,))
    refused(files["linear"], "--colour", "--mean", colour="gray")
    refused(files["mixed"], "no task 'faces'", "classification", tasks=("faces",))
    refused(files["mixed"], "no output 'mask'", "kind, map", tasks=("mask=tensors",))
    refused(files["mixed"], "says twice", tasks=("kind=tensors", "kind=regression"))
    refused(files["mixed"], "reads one output", "kind=classification", tasks=("classification",))
    refused(files["linear"], "no such kind", "multi-label", tasks=("classification:ordinal",))


def test_a_saved_model_that_ends_in_a_softmax_is_seen_by_its_values(files, tmp_path):
    model = keras.saving.load_model(files["open_image"])
    model.export(tmp_path / "saved", verbose=False)
    loaded = build(str(tmp_path / "saved"), input_size=(6, 6), **IMAGE)
    assert loaded.tasks[0].decode == {"kind": "classes", "scores": "probabilities"}
    assert (loaded.inputs[0].name, loaded.outputs, loaded.is_keras) == ("image", ("logits",), False)
    given = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(loaded.run({"image": given})["logits"], model(given), rtol=1e-5)


def test_text_is_no_tensor(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.string, name="text")])
        def serve(self, text):
            return {"length": tf.strings.length(text)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.serve})
    refused(str(tmp_path / "saved"), "text", "string")
