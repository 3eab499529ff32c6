"""All rewrites of every target on networks drawn at random: equal in float, int8 throughout, taken by the target."""

from functools import cache

import keras
import numpy as np
import pytest
from random_models import draw
from saving import save_image_model

from tfeff.compare import Runner
from tfeff.export import quantize
from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import apply_rewrites
from tfeff.export.targets import get_target, list_targets
from tfeff.tflite.graph import read_graph

FLOAT_SEEDS = range(24)
INT8_SEEDS = range(100, 108)
INT8_TARGETS = ("edgetpu", "ethos-u", "litert", "tflite-runtime")


def images(shape, seed, count=3):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def rewrites_of(target):
    return [load_rewrite(spec) for spec in get_target(target).rewrites]


@cache
def rewritten_for_all(seed):
    """Names of the rewrites that found a place. `apply_rewrites` raises when one is not equal."""
    model, shape = draw(seed)
    x, found = images(shape, seed), set()
    expected = np.asarray(model(x))
    for target in {get_target(name).rewrites: name for name in list_targets()}.values():  # some have the same
        rewritten, applied = apply_rewrites(model, rewrites_of(target), {"image": x})
        np.testing.assert_allclose(rewritten(x), expected, atol=5e-5 * np.abs(expected).max())
        found |= {each.name for each in applied}
    keras.backend.clear_session()
    return found


@pytest.mark.parametrize("seed", FLOAT_SEEDS)
def test_equal_in_float(seed):
    rewritten_for_all(seed)


def test_the_draw_has_nearly_all_rewrites_in_it():
    """Rare ones (a pad where SAME is the same, a ReLU behind a pooling) have tests of their own."""
    found = set().union(*map(rewritten_for_all, FLOAT_SEEDS))
    every = {spec.partition(":")[0] for target in list_targets().values() for spec in target.rewrites}
    assert every - found <= {"padding", "silu", "relu_pool", "split_output"}


@pytest.fixture(scope="module")
def int8_files(tmp_path_factory):
    """File, images and Keras' outputs by (seed, target); all made in one process."""
    folder = tmp_path_factory.mktemp("random")
    jobs, made = [], {}
    for seed in INT8_SEEDS:
        model, shape = draw(seed)
        x = images(shape, seed, 16)
        np.save(folder / f"{seed}.npy", x)
        for target in INT8_TARGETS:
            rewritten, _ = apply_rewrites(model, rewrites_of(target), {"image": x[:3]})
            saved = folder / f"{seed}-{target}"
            save_image_model(rewritten, saved, shape)
            path = saved.with_suffix(".tflite")
            jobs.append(quantize.Job(str(saved), "int8", "int8", str(path), {"image": folder / f"{seed}.npy"}))
            made[seed, target] = path, x, np.asarray(model(x))
        keras.backend.clear_session()
    quantize.convert(jobs, None, folder)
    return made


@pytest.mark.parametrize("target", INT8_TARGETS)
@pytest.mark.parametrize("seed", INT8_SEEDS)
def test_int8_throughout_and_taken(int8_files, seed, target):
    path, x, expected = int8_files[seed, target]
    graph = read_graph(path)
    assert graph.float_operations() == []
    verdict = get_target(target).check(graph)
    assert verdict.ok, verdict.rows()[:3]
    if target == "edgetpu":
        return  # the same as below
    runner = Runner(path)
    got = np.stack([runner(image)["logits"] for image in x]).reshape(expected.shape)
    noise_db = 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum())
    assert noise_db > 15  # int8, not nonsense
