"""A detector is taught by its float twin: where that sees something, as answers use its outputs."""

import numpy as np
import pytest
from detection_specs import anchors_spec, distances_spec, shapes
from keras import ops

from tfeff.training import detection_teaching


def twin_of(spec):
    """Outputs of two images."""
    random = np.random.default_rng(0)
    return {name: random.normal(size=(2, *shape)).astype("f") for name, shape in shapes(spec).items()}


def lost(spec, twin, given, name):
    columns = detection_teaching.weights(spec, twin)
    flat = [twin[name].reshape(2, -1), *([columns[name]] if name in columns else [])]
    loss = detection_teaching.loss_of(spec, name)
    return np.asarray(loss.call(np.concatenate(flat, axis=1), ops.convert_to_tensor(given, "float32")))


DISTANCES, ANCHORS = distances_spec(64, 3, (8, 16), 8), anchors_spec((60, 90), 3)
ALIGNED, REFINED = distances_spec(64, 3, (8,), 4, "aligned"), anchors_spec((60, 90), 3, "refined", objectness=0.01)


@pytest.mark.parametrize(
    "spec", [DISTANCES, ALIGNED, ANCHORS, REFINED], ids=["distances", "aligned", "anchors", "refined"]
)
def test_the_twin_itself_has_nothing_to_learn(spec):
    twin = twin_of(spec)
    for output in spec.outputs:
        np.testing.assert_allclose(lost(spec, twin, twin[output], output), 0, atol=1e-5)
        moved = twin[output] + np.random.default_rng(1).normal(size=twin[output].shape)
        assert (lost(spec, twin, moved, output) > 0.01).all()


def test_boxes_are_taught_by_where_the_twin_sees_something():
    twin, level = twin_of(DISTANCES), DISTANCES.levels[0]
    twin[level.scores][:] = -20
    twin[level.scores][0, 2, 3, 1] = 2.0
    elsewhere, there = twin[level.boxes].copy(), twin[level.boxes].copy()
    elsewhere[:, 4:] += np.random.default_rng(1).normal(size=elsewhere[:, 4:].shape)
    there[0, 2, 3, 5] += 1.0
    assert lost(DISTANCES, twin, elsewhere, level.boxes).max() < 1e-4
    taught = lost(DISTANCES, twin, there, level.boxes)
    distribution, changed = (np.exp(each[0, 2, 3, :8]) / np.exp(each[0, 2, 3, :8]).sum()
                             for each in (twin[level.boxes], there))  # fmt: skip
    sure = 1 / (1 + np.exp(-2.0))
    wanted = sure * (distribution @ np.log(distribution / changed)) / 4
    np.testing.assert_allclose(taught, [wanted, 0], rtol=1e-3, atol=1e-6)


def test_scores_of_one_distribution_are_taught_by_its_divergence():
    twin, name = twin_of(ANCHORS), ANCHORS.levels[-1].scores
    given = twin[name] + np.random.default_rng(1).normal(size=twin[name].shape).astype("f")
    p, q = (np.exp(each.reshape(2, -1, 4)) for each in (twin[name], given))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    np.testing.assert_allclose(lost(ANCHORS, twin, given, name), (p * np.log(p / q)).sum((1, 2)), rtol=1e-4)
