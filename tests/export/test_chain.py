"""The chain from the model as its user brought it to the int8 file: every link, and both ends compared."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.cli.source import Source
from tfeff.cli.user_model import build_user_model
from tfeff.compare import Runner
from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export import Model, Request, export_model, proofs
from tfeff.export.rewrites.float32 import coarsest, in_float32
from tfeff.layers.keras_private import flat_layers
from tfeff.record import words

FIRST = {"data_format": "channels_first"}


def half_precision(policy="mixed_float16", **order):
    """Trained in half precision, with a model and an augmentation layer inside."""
    keras.utils.set_random_seed(3)
    axis = 1 if order else -1
    image = keras.Input((3, 16, 16) if order else (16, 16, 3), name="photo")
    with _policy(policy):
        x = layers.RandomTranslation(0.2, 0.2, **order)(image)
        x = layers.Conv2D(8, 3, strides=2, padding="same", **order)(x)
        x = layers.ReLU()(layers.BatchNormalization(axis=axis)(x))
        inner = keras.Sequential([keras.Input((8, 8, 8)), layers.DepthwiseConv2D(3, **order)])
        x = layers.GlobalAveragePooling2D(**order)(inner(x))
        kind = layers.Dense(4, activation="softmax", dtype="float32", name="kind")(x)
        return keras.Model(image, [kind, layers.Dense(2, name="place")(x)])


class _policy:
    """A global policy for the length of a `with` block."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        self._before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self._name)

    def __exit__(self, *exception):
        keras.config.set_dtype_policy(self._before)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The loaded model, its export, and the inputs of the proof."""
    folder = tmp_path_factory.mktemp("chain")
    half_precision().save(folder / "half.keras")
    inputs = np.random.default_rng(5).normal(size=(24, 16, 16, 3)).astype(np.float32)
    np.savez(folder / "inputs.npz", photo=inputs)
    model = build_user_model(Source(str(folder / "half.keras")))
    request = Request(
        calibration=str(folder / "inputs.npz"), method="minmax", allow_audit=True, devices=(), strict=True
    )
    return keras.saving.load_model(folder / "half.keras"), export_model(model, folder / "half.tflite", request), inputs


def test_every_link_from_the_model_to_the_simulation_is_measured(exported):
    _, export, _ = exported
    links = {(link.of, link.to): link for link in export.record.proof.links}
    assert list(links) == [("model", "float32 copy"), ("float32 copy", "inlined"), ("float32 copy", "float file"),
                           ("inlined", "simulation")]  # fmt: skip
    half = links["model", "float32 copy"]
    assert 1e-6 < half.relative_error < half.allowed < 0.1
    assert all(link.relative_error < 1e-5 for link in links.values() if link is not half)
    assert export.failed == ()
    assert export.record.quantization.simulation.missing == []
    assert words.chain(export.record.proof.links).startswith("model = float32 copy (")


def test_both_ends_of_the_chain_are_compared(exported):
    """By hand: what the file of the user's gives, and what the int8 file gives, for the same inputs."""
    loaded, export, inputs = exported
    runner = Runner(export.path)
    told = {port.name: port for port in export.record.ports if port.reference == "model"}
    assert list(told) == ["kind", "place"]
    count = told["kind"].samples
    used = list(inputs)
    wanted = [[np.asarray(each, np.float64) for each in loaded(x[None], training=False)] for x in used]
    given = [runner({"photo": x}) for x in used]
    assert count == 16
    for number, name in enumerate(("kind", "place")):
        error = [((given[n][name] - wanted[n][number]) ** 2).sum() for n in range(len(used))]
        whole = 10 * np.log10(sum((each[number] ** 2).sum() for each in wanted) / sum(error))
        assert told[name].sqnr_db == pytest.approx(whole, abs=3)  # 16 of the 24
        assert whole > 25
    assert told["kind"].same_answers >= 0.75
    assert told["place"].same_answers is None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_a_copy_in_float32_has_no_other_floating_point_left(policy):
    model = half_precision(policy, **FIRST)
    copy = in_float32(model)
    assert coarsest(model) in policy
    assert coarsest(copy) is None
    assert {layer.dtype_policy.name for layer in flat_layers(copy)} == {"float32"}
    assert {keras.backend.standardize_dtype(each.dtype) for each in (*copy.inputs, *copy.outputs)} == {"float32"}
    for one, other in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other.astype(np.float32))


def test_what_does_not_run_as_it_was_brought_is_said(tmp_path):
    """TensorFlow has no kernel of a convolution in 16 bits with its channels first, on a CPU."""
    half_precision(**FIRST).save(tmp_path / "m.keras")
    model = build_user_model(Source(str(tmp_path / "m.keras")))
    reference = proofs.refer(model, {"photo": np.zeros((2, 3, 16, 16), np.float32)}, "zeros")
    assert reference.brought is None
    (note,) = reference.notes
    assert note.startswith("the proof begins at the copy in float32: the model as it was brought does not run here (")
    assert "Arguments" not in note


def test_a_model_that_cannot_be_run_is_refused():
    def run(x, training):
        raise ValueError("no such kernel")

    model = Model(run, "m", "my network", (InputPort("x", (1,)),), ("out",), ())
    with pytest.raises(TfeffError, match="my network cannot be run: no such kernel"):
        proofs.refer(model, {"x": np.zeros((1, 1), np.float32)}, "zeros")


def test_samples_are_run_together_only_where_that_is_the_same():
    def model(of_batch):
        calls = []

        def run(batch):
            calls.append(len(batch["x"]))
            return {"y": of_batch(batch["x"])}

        return run, calls

    x = {"x": np.random.default_rng(0).standard_normal((20, 3)).astype("float32")}
    alone = np.concatenate([x["x"][n : n + 1] * 2 for n in range(20)])
    run, calls = model(lambda x: 2 * x)
    np.testing.assert_array_equal(proofs._each(run, x)["y"], alone)
    assert calls == [1, 1, 20]  # small ones; of large ones two at a time
    large = {"x": np.ones((5, 200_000), np.float32)}
    run, calls = model(lambda x: 2 * x)
    np.testing.assert_array_equal(proofs._each(run, large)["y"], 2 * large["x"])
    assert calls == [1, 1, 2, 2, 1]

    def one_at_a_time(x):
        if len(x) > 1:
            raise ValueError("a batch of 1")
        return 2 * x

    run, calls = model(one_at_a_time)
    np.testing.assert_array_equal(proofs._each(run, x)["y"], alone)
    run, calls = model(lambda x: 2 * x - x.mean(0, keepdims=True))  # of one sample: x itself
    np.testing.assert_array_equal(proofs._each(run, x)["y"], x["x"])
    assert calls.count(1) == 20
