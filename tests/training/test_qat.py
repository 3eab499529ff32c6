"""Teaching a network by its float twin, whatever its inputs, outputs and tasks; the fake-quant graph itself is tested
in `export/quantize/test_aware.py`."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfeff import TfeffError
from tfeff.data import InputPort, Preprocessing, TensorDataset, image_port
from tfeff.record.schema import TaskSpec
from tfeff.training import Batches
from tfeff.training.classification import Distillation
from tfeff.training.qat import Recipe, Teacher, train_quantized

COUNT = 120
IMAGE = Preprocessing(size=(6, 6))


def classes(output, kind="classes", scores="probabilities"):
    return TaskSpec(name="classification", outputs=[output], decode={"kind": kind, "scores": scores})


def tensors(*outputs):
    return TaskSpec(name="tensors", outputs=[*outputs])


@pytest.fixture(scope="module")
def two():
    """A model of an image and a vector that gives classes and a map; and one that differs, to be taught."""
    keras.utils.set_random_seed(3)
    image, vector = keras.Input((6, 6, 3), name="photo"), keras.Input((4,), name="vector")
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), vector])
    outputs = [layers.Dense(3, activation="softmax")(both), layers.Conv2D(2, 1)(x)]
    twin = keras.Model([image, vector], outputs)
    other = keras.models.clone_model(twin)
    noise = np.random.default_rng(0)
    other.set_weights([w + 0.1 * noise.standard_normal(w.shape) for w in twin.get_weights()])
    ports = (image_port(IMAGE, "photo"), InputPort("vector", (4,)))
    return Teacher(twin, ports, ("classes", "map"), (classes("classes"), tensors("map"))), other


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    arrays = {"photo": rng.integers(0, 256, (COUNT, 9, 9, 3), np.uint8), "vector": rng.normal(size=(COUNT, 4))}
    labels = rng.integers(0, 3, COUNT)
    return TensorDataset("made", "made", ("a", "b", "c"), labels, [f"sample {n}" for n in range(COUNT)], arrays)


def test_batches_of_several_inputs(two, samples):
    (photos, vectors), labels = Batches(samples, two[0].inputs, 16)[1]
    assert (photos.shape, vectors.shape, labels.shape) == ((16, 6, 6, 3), (16, 4), (16,))
    np.testing.assert_array_equal(photos[3], IMAGE(samples.arrays["photo"][19]))
    np.testing.assert_array_equal(vectors[3], samples.arrays["vector"][19].astype(np.float32))


def test_only_images_are_moved(two, samples):
    plain, moved = (Batches(samples, two[0].inputs, 16, move=move, seed=0)[0][0] for move in (None, 0.25))
    assert not np.array_equal(plain[0], moved[0])
    np.testing.assert_array_equal(plain[1], moved[1])


def test_every_output_is_taught(two, samples):
    teacher, other = two
    before = [
        np.abs(a - b).mean()
        for a, b in zip(teacher(_all(samples)), other.predict(_all(samples), verbose=0), strict=True)
    ]
    rows = []
    entry = train_quantized(other, teacher, samples, Recipe(8, 16, 1e-2, augment=False), report=rows.append)
    after = [
        np.abs(a - b).mean()
        for a, b in zip(teacher(_all(samples)), other.predict(_all(samples), verbose=0), strict=True)
    ]
    assert all(now < 0.5 * then for now, then in zip(after, before, strict=True)), (before, after)
    assert [row["epoch"] for row in rows] == list(range(9)) == [row["epoch"] for row in entry["history"]]
    best = min(entry["history"], key=lambda row: row["held_out_loss"])
    assert entry["best_epoch"] == best["epoch"] > 0
    assert set(best["held_out"]) == {"top-1 of classes"} == set(entry["held_out_float"])
    assert entry["images"] + entry["held_out_images"] == COUNT


def test_what_never_gets_better_stays_as_it_was(two, samples):
    teacher, _ = two
    same = keras.models.clone_model(teacher.model)
    same.set_weights(teacher.model.get_weights())
    entry = train_quantized(same, teacher, samples, Recipe(1, 16, 0.5, steps=2, augment=False))
    assert entry["best_epoch"] == 0
    for one, other in zip(same.get_weights(), teacher.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def _all(samples):
    return [np.stack([IMAGE(each) for each in samples.arrays["photo"]]), samples.arrays["vector"].astype(np.float32)]


def test_labels_of_what_nobody_described_are_refused(two, samples):
    with pytest.raises(TfeffError, match="map means is not known"):
        train_quantized(two[1], two[0], samples, Recipe(1, 16, label_weight=1.0))


def test_a_label_weight_needs_labels(two, samples):
    unlabelled = TensorDataset("made", "made", (), None, samples.names, samples.arrays)
    with pytest.raises(TfeffError, match="no labels"):
        train_quantized(two[1], two[0], unlabelled, Recipe(1, 16, label_weight=1.0))


@pytest.mark.parametrize("independent", [False, True])
def test_distillation_of_probabilities_is_that_of_their_logits(independent):
    rng = np.random.default_rng(0)
    taught, given = rng.normal(size=(2, 5, 4)).astype(np.float32)
    labels = rng.integers(0, 2, (5, 4)) if independent else rng.integers(0, 4, (5, 1))
    squash = ops.sigmoid if independent else ops.softmax
    of_logits = Distillation(2.0, 0.5, independent)(np.concatenate([taught, labels], 1), given)
    of_scores = Distillation(2.0, 0.5, independent, probabilities=True)(
        np.concatenate([squash(taught), labels], 1), squash(given)
    )
    assert float(of_scores) == pytest.approx(float(of_logits), rel=1e-4)
    alone = Distillation(2.0, 0.0, independent)(taught, taught)
    assert float(alone) == pytest.approx(0, abs=1e-6)
