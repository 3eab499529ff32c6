"""Weight files: round trips, and every way in which a file does not fit."""

import os
import zipfile

import keras
import numpy as np
import pytest

from tfeff import TfeffError
from tfeff.layers import GroupConv2D
from tfeff.weights import load_weights, read_metadata, save_weights


def network(filters=8, classes=3, seed=0, dropout=False, depth=1):
    """A network with all kinds of weights that a file must carry: kernels, biases, BN statistics."""
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((6, 6, 4), name="image")
    for number in range(1, depth + 1):
        x = GroupConv2D(filters, 3, 2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.5, name="drop")(x) if dropout else x
    model = keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="small")
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.uniform(0.1, 1, w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in model.get_weights()]
    )
    return model


def values(model):
    return {v.path: np.asarray(v.value) for v in model.variables if "seed" not in v.path}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for path, value in a.items():
        np.testing.assert_array_equal(value, b[path], err_msg=path)


def refusal(path, model=None):
    """The error for a file; the model must not have been changed by an .npz that does not fit."""
    model = model or network()
    before = values(model)
    with pytest.raises(TfeffError) as raised:
        load_weights(model, path)
    if path.suffix == ".npz":
        assert_same(values(model), before)
    assert str(path) in raised.value.what
    assert "\n" not in raised.value.what
    assert raised.value.mend
    return raised.value.what


def edited(tmp_path, change):
    """A weight file of `network()` with its entries changed."""
    arrays = values(network())
    change(arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


def test_round_trip(tmp_path):
    model, other = network(), network(seed=1)
    save_weights(model, tmp_path / "a.npz")
    load_weights(other, tmp_path / "a.npz")
    assert_same(values(other), values(model))
    assert {*values(model)} == {
        "conv1/kernel", "bn1/gamma", "bn1/beta", "bn1/moving_mean", "bn1/moving_variance", "logits/kernel",
        "logits/bias",
    }  # fmt: skip


def test_numpy_alone_reads_it(tmp_path):
    model = network()
    save_weights(model, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert_same({key: archive[key] for key in archive.files}, values(model))


def test_half_rounds_kernels_only(tmp_path):
    model, other = network(), network(seed=1)
    save_weights(model, tmp_path / "a.npz", half=True)
    with np.load(tmp_path / "a.npz") as archive:
        kinds = {key: archive[key].dtype for key in archive.files}
    assert {key for key, dtype in kinds.items() if dtype == np.float16} == {"conv1/kernel", "logits/kernel"}
    load_weights(other, tmp_path / "a.npz")
    for path, value in values(model).items():
        loaded = values(other)[path]
        assert loaded.dtype == np.float32
        expected = value.astype(np.float16).astype(np.float32) if "kernel" in path else value
        np.testing.assert_array_equal(loaded, expected)
    assert np.abs(values(other)["conv1/kernel"] - values(model)["conv1/kernel"]).max() > 0


def test_half_refuses_what_it_cannot_hold(tmp_path):
    model = network()
    model.get_layer("conv1").kernel.assign(np.full(model.get_layer("conv1").kernel.shape, 7e4))
    with pytest.raises(TfeffError, match="conv1/kernel is too large for float16"):
        save_weights(model, tmp_path / "a.npz", half=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("half", [False, True])
def test_same_bytes_twice_and_nothing_left_beside(tmp_path, half):
    save_weights(network(), tmp_path / "a.npz", half=half)
    save_weights(network(), tmp_path / "b.npz", half=half)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "b.npz"]


def test_saving_replaces_the_file_whole(tmp_path):
    save_weights(network(seed=1), tmp_path / "a.npz")
    save_weights(network(seed=2), tmp_path / "a.npz")
    model = network()
    load_weights(model, tmp_path / "a.npz")
    assert_same(values(model), values(network(seed=2)))


def test_saving_where_one_cannot(tmp_path):
    with pytest.raises(TfeffError, match="cannot be written"):
        save_weights(network(), tmp_path / "missing" / "a.npz")


def test_dropout_seeds_are_no_weights(tmp_path):
    save_weights(network(dropout=True), tmp_path / "a.npz")
    model = network(seed=1)
    load_weights(model, tmp_path / "a.npz")
    assert_same(values(model), values(network()))


def test_a_layer_called_seed_has_weights(tmp_path):
    def build():
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="seed_dense")])

    save_weights(build(), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        assert len(archive.files) == 2


def test_missing_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.npz")
    (tmp_path / "folder.npz").mkdir()
    assert "no such file" in refusal(tmp_path / "folder.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.weights.h5", "a.h5", "a.keras"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert "empty" in refusal(tmp_path / name)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("half", [False, True])
def test_truncated_npz(tmp_path, half, share):
    path = tmp_path / "a.npz"
    save_weights(network(), path, half=half)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "damaged" in refusal(path)


def test_damaged_npz(tmp_path):
    path = tmp_path / "a.npz"
    save_weights(network(filters=64), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    path.write_bytes(data)
    assert "damaged" in refusal(path, network(filters=64))


def test_npy_and_text_and_objects(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "damaged, or not an .npz" in refusal(tmp_path / "a.npy")
    (tmp_path / "a.txt").write_text("weights")
    assert "damaged, or not an .npz" in refusal(tmp_path / "a.txt")
    np.savez(tmp_path / "a.npz", kernel=np.array([{}, 1], dtype=object))
    assert "damaged, or not an .npz" in refusal(tmp_path / "a.npz")


def test_another_network(tmp_path):
    save_weights(network(filters=16), tmp_path / "a.npz")
    told = refusal(tmp_path / "a.npz")
    assert "do not fit network small" in told
    assert "conv1/kernel is (3, 3, 2, 16), the network has (3, 3, 2, 8)" in told
    assert "and 3 more" in told


def test_another_number_of_classes(tmp_path):
    save_weights(network(classes=5), tmp_path / "a.npz")
    assert "logits/kernel is (8, 5), the network has (8, 3)" in refusal(tmp_path / "a.npz")


def test_missing_and_extra_entries(tmp_path):
    assert "lacks bn1/gamma" in refusal(edited(tmp_path, lambda a: a.pop("bn1/gamma")))
    assert "has bn2/gamma, unknown" in refusal(edited(tmp_path, lambda a: a.update({"bn2/gamma": np.ones(8)})))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity(tmp_path, bad):
    def spoil(arrays):
        arrays["conv1/kernel"][0, 1, 0, 3] = bad

    assert "conv1/kernel holds NaN or infinity" in refusal(edited(tmp_path, spoil))


@pytest.mark.parametrize("dtype", ["<U8", np.complex64, bool])
def test_entries_that_are_no_numbers(tmp_path, dtype):
    told = refusal(edited(tmp_path, lambda a: a.update({"bn1/gamma": np.ones(8).astype(dtype)})))
    assert "bn1/gamma is of type" in told


# Keras' own files


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_keras_files(tmp_path, name):
    model, other = network(), network(seed=1)
    (model.save_weights if name == "a.weights.h5" else model.save)(tmp_path / name)
    load_weights(other, tmp_path / name)
    assert_same(values(other), values(model))


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras"])
def test_keras_files_of_a_compiled_model_with_dropout(tmp_path, name):
    model = network(dropout=True)
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(np.zeros((2, 6, 6, 4)), np.zeros((2, 3)))
    (model.save if name == "a.keras" else model.save_weights)(tmp_path / name)
    other = network(seed=1, dropout=True)
    load_weights(other, tmp_path / name)
    assert_same(values(other), values(model))


@pytest.mark.parametrize("share", [0.3, 0.99])
@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_truncated_keras_files(tmp_path, name, share):
    model = network()
    (model.save_weights if name == "a.weights.h5" else model.save)(tmp_path / name)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_text_named_like_keras_files(tmp_path, name):
    (tmp_path / name).write_text("no weights, but text\n" * 50)
    assert "damaged" in refusal(tmp_path / name)


def test_zip_that_is_no_keras_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "Keras cannot load it" in refusal(tmp_path / "a.keras")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras', about what it skips
@pytest.mark.parametrize("other", [{"filters": 16}, {"classes": 5}, {"depth": 2}])
@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_keras_files_of_another_network(tmp_path, name, other):
    model = network(**other)
    (model.save_weights if name == "a.weights.h5" else model.save)(tmp_path / name)
    assert "do not fit network small" in refusal(tmp_path / name)


def test_h5_with_a_layer_too_many(tmp_path):
    """Keras itself fills the layers it has by order and says nothing about the rest."""

    def build(depth):
        sizes = [keras.layers.Dense(4) for _ in range(depth)]
        return keras.Sequential([keras.Input((4,)), *sizes], name="small")

    build(3).save_weights(tmp_path / "a.weights.h5")
    assert "2 entries more" in refusal(tmp_path / "a.weights.h5", build(2))


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.keras"])
def test_keras_files_with_nan(tmp_path, name):
    model = network()
    model.get_layer("bn1").gamma.assign(np.full(8, np.nan))
    (model.save_weights if name == "a.weights.h5" else model.save)(tmp_path / name)
    assert "bn1/gamma holds NaN" in refusal(tmp_path / name)


# what a file says of itself


def graph(padding="same", epsilon=1e-3, activation="relu", residual=False, stride=1, order=(0, 1), dropout=0.0):
    """A network whose arrays are the same whatever its options."""
    x = image = keras.Input((8, 8, 4), name="image")
    x = keras.layers.Conv2D(4, 3, stride, padding=padding, use_bias=False, name="conv")(x)
    x = y = keras.layers.BatchNormalization(epsilon=epsilon, name="bn")(x)
    x = keras.layers.Activation(activation, name="act")(x)
    pair = [x, y]
    x = keras.layers.Concatenate(name="cat")([pair[i] for i in order])
    x = keras.layers.Dropout(dropout, name="drop")(x) if dropout else x
    z = keras.layers.Conv2D(8, 1, name="mix")(x)
    z = keras.layers.Add(name="add")([z, x]) if residual else z
    x = keras.layers.GlobalAveragePooling2D(name="pool")(z)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x), name="graph")


META = {"network": "graph", "arguments": {"padding": "same"}}


def test_metadata_round_trip(tmp_path):
    model = graph()
    save_weights(model, tmp_path / "a.npz", metadata={**META, "notes": ["ü"]})
    told = read_metadata(tmp_path / "a.npz")
    assert told["network"] == "graph"
    assert told["arguments"] == {"padding": "same"}
    assert told["notes"] == ["ü"]
    other = graph()
    load_weights(other, tmp_path / "a.npz")
    assert_same(values(other), values(model))
    save_weights(model, tmp_path / "b.npz")
    assert read_metadata(tmp_path / "b.npz") is None


@pytest.mark.parametrize(
    "options",
    [{"padding": "valid"}, {"epsilon": 1e-5}, {"activation": "relu6"}, {"residual": True}, {"stride": 2},
     {"order": (1, 0)}, {"order": (0, 0)}],
    ids=str,
)  # fmt: skip
def test_the_same_arrays_for_another_graph_are_refused(tmp_path, options):
    save_weights(graph(), tmp_path / "a.npz", metadata=META)
    save_weights(graph(), tmp_path / "b.npz")
    assert "made for another graph" in refusal(tmp_path / "a.npz", graph(**options))
    load_weights(graph(**options), tmp_path / "b.npz")  # the arrays alone would not tell


def test_dropout_and_the_input_size_make_no_other_graph(tmp_path):
    save_weights(graph(), tmp_path / "a.npz", metadata=META)
    load_weights(graph(dropout=0.5), tmp_path / "a.npz")
    save_weights(graph(dropout=0.2), tmp_path / "a.npz", metadata=META)
    load_weights(graph(), tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99, "network": "a"}'])
def test_damaged_metadata(tmp_path, text):
    np.savez(tmp_path / "a.npz", **values(graph()), __metadata__=np.array(text))
    assert "damaged" in refusal(tmp_path / "a.npz", graph())


def test_pytorchs_files_are_not_ours(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(TfeffError, match="PyTorch's names") as raised:
        load_weights(graph(), tmp_path / "a.safetensors")
    assert "tfeff import-weights" in raised.value.mend
