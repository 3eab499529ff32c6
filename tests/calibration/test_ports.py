"""Models that take more than one image: inputs of any rank and type, from arrays by name, dicts and tuples."""

import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from tfeff.calibration import Activations, Plan, audit, collect, observe, parse_method
from tfeff.data import InputPort, Preprocessing, image_port
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.record.schema import TaskSpec

RNG = np.random.default_rng(3)
IMAGE = image_port(Preprocessing(size=(8, 8)), "photo")
PORTS = (IMAGE, InputPort("facts", (5,)), InputPort("word", (3,), "int32"))
TASKS = [TaskSpec(name="tensors", outputs=["score", "state"])]
ARRAYS = {
    "photo": RNG.integers(0, 256, (40, 12, 10, 3), dtype=np.uint8),
    "facts": RNG.normal(3, 2, (40, 5)).astype(np.float32),
    "word": RNG.integers(0, 7, (40, 3)),
}


def gather(tmp_path, arrays=None, ports=PORTS, **options):
    np.savez(tmp_path / "arrays.npz", **(ARRAYS if arrays is None else arrays))
    return collect(str(tmp_path / "arrays.npz"), ports, tmp_path, **options)


def test_one_array_an_input_by_name(tmp_path):
    calibration = gather(tmp_path)
    assert (calibration.found, calibration.used, calibration.noun) == (40, 40, "sample")
    batch = calibration.batch()
    assert list(batch) == ["photo", "facts", "word"]
    np.testing.assert_array_equal(batch["photo"][3], IMAGE.preprocessing(ARRAYS["photo"][3]))
    np.testing.assert_array_equal(batch["facts"], ARRAYS["facts"])
    assert batch["word"].dtype == np.int32
    np.testing.assert_array_equal(batch["word"], ARRAYS["word"])
    feed = next(calibration.feeds([7]))
    assert {name: value.shape for name, value in feed.items()} == {"photo": (8, 8, 3), "facts": (5,), "word": (3,)}
    assert len(np.unique(calibration.digests, axis=0)) == 40


def test_a_difference_in_any_input_is_one(tmp_path):
    arrays = {name: np.repeat(value[:1], 40, 0) for name, value in ARRAYS.items()}
    with pytest.raises(TfeffError, match="all 40 samples are the same"):
        gather(tmp_path, arrays)
    calibration = gather(tmp_path, arrays | {"word": ARRAYS["word"]})
    assert len(np.unique(calibration.digests, axis=0)) > 20


def test_functions_yield_dicts_or_tuples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_samples.py").write_text(
        "import numpy as np\n"
        "held = dict(np.load('arrays.npz'))\n"
        "def by_name(): return ({k: v[n] for k, v in reversed(held.items())} for n in range(40))\n"
        "def in_order(): return (tuple(held[k][n] for k in ('photo', 'facts', 'word')) for n in range(40))\n"
        "def too_few(): return ((held['photo'][n],) for n in range(40))\n"
        "def misses(): return ({'photo': held['photo'][n], 'facts': held['facts'][n]} for n in range(40))\n"
        "def nan(): return ((held['photo'][n], held['facts'][n] / (n != 4), held['word'][n]) for n in range(40))\n"
    )
    expected = gather(tmp_path).batch()
    try:
        for name in ("by_name", "in_order"):
            found = collect(f"my_samples:{name}", PORTS, tmp_path).batch()
            for port, values in expected.items():
                np.testing.assert_array_equal(found[port], values)
        for name, words in (("too_few", "3 inputs"), ("misses", "word is missing"), ("nan", "sample 4.*facts.*NaN")):
            with pytest.raises(TfeffError, match=words):
                collect(f"my_samples:{name}", PORTS, tmp_path)
    finally:
        sys.modules.pop("my_samples", None)


def test_an_array_input_of_another_shape_is_refused(tmp_path):
    with pytest.raises(TfeffError, match=r"facts.*\(4,\).*\(5,\)"):
        gather(tmp_path, ARRAYS | {"facts": ARRAYS["facts"][:, :4]})


def test_a_folder_of_images_is_no_source_for_them(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(ARRAYS["photo"][number]).save(tmp_path / "images" / f"{number}.png")
    with pytest.raises(TfeffError, match="photo is missing") as refused:
        collect(str(tmp_path / "images"), PORTS, tmp_path)
    assert ".npz" in refused.value.mend


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The model, and its calibrated float file."""
    keras.utils.set_random_seed(2)
    photo, facts = keras.Input((8, 8, 3), name="photo"), keras.Input((5,), name="facts")
    word = keras.Input((3,), dtype="int32", name="word")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="look")(photo))
    x = layers.Concatenate()([x, facts, layers.Flatten()(layers.Embedding(7, 2, name="words")(word))])
    state = layers.Dense(6, activation="relu", name="think")(x)
    model = keras.Model([photo, facts, word], [layers.Dense(1, name="say")(state), state])
    folder = tmp_path_factory.mktemp("ports")
    quantize.write_saved_model(model, folder / "saved", PORTS, ["score", "state"])
    one = {
        "photo": np.zeros((1, 8, 8, 3), np.float32),
        "facts": ARRAYS["facts"][:1],
        "word": np.zeros((1, 3), np.int32),
    }
    for name, value in one.items():
        np.save(folder / f"{name}.npy", value)
    path = folder / "calibrated.tflite"
    job = quantize.Job(str(folder / "saved"), "int8", "int8", str(path), step="calibrate")
    quantize.convert([job], {name: folder / f"{name}.npy" for name in one}, folder)
    return model, path


def test_all_inputs_are_given_and_all_outputs_come(network, tmp_path):
    model, path = network
    calibration, runs = gather(tmp_path), Activations(path)
    assert set(runs.outputs) == {"score", "state"}
    batch = calibration.batch()
    score, state = model([batch[name] for name in ("photo", "facts", "word")], training=False)
    found = [runs.run(feed) for feed in calibration.feeds()]
    np.testing.assert_allclose(np.stack([each["score"] for each in found]), score, atol=1e-5)
    np.testing.assert_allclose(np.stack([each["state"] for each in found]), state, atol=1e-5)
    by_port = {tensor.input or tensor.output: tensor for tensor in runs.tensors if tensor.input or tensor.output}
    assert set(by_port) == {"photo", "facts", "score", "state"}  # whole numbers have no range


def observed(path, calibration, folder):
    network = Activations(path)
    return network, observe(network, calibration.feeds(), calibration.names, folder)


def test_inputs_have_their_doors_or_all_their_values_and_outputs_if_wished(network, tmp_path):
    calibration = gather(tmp_path)
    runs, seen = observed(network[1], calibration, tmp_path)
    plan = Plan(runs.tensors, parse_method("image-percentile:60"), (), {"photo": (-1.0, 1.0)}, ["score"])
    found = {each.tensor.input or each.tensor.output: each for each in plan.ranges(seen)}
    assert (found["photo"].low, found["photo"].high, found["photo"].method) == (-1, 1, "preprocessing")
    facts = ARRAYS["facts"]
    assert (found["facts"].low, found["facts"].high) == pytest.approx((min(facts.min(), 0), facts.max()))
    assert (found["facts"].method, found["score"].method) == ("minmax", "minmax")
    assert found["state"].method == "image-percentile:60"


def audited(network, tmp_path, arrays):
    calibration = gather(tmp_path, arrays)
    runs, seen = observed(network[1], calibration, tmp_path)
    done, _ = audit(calibration, runs, seen, parse_method("minmax"), tmp_path, tasks=TASKS)
    return {(each.code, each.severity): each for each in done.findings}, done


def smooth():
    """Images that nothing is to be said of."""
    small = RNG.integers(0, 256, (40, 3, 3, 3), dtype=np.uint8)
    small[:, 0, 0], small[:, 2, 2] = 0, 255
    return np.stack([np.asarray(Image.fromarray(each).resize((8, 8), Image.Resampling.BICUBIC)) for each in small])


def test_images_get_image_checks_and_arrays_their_own(network, tmp_path):
    good = ARRAYS | {"photo": smooth()}
    found, _ = audited(network, tmp_path, good)
    assert {code for code, _ in found} <= {"constant-channels", "unstable-ranges"}
    found, _ = audited(network, tmp_path, good | {"facts": np.ones((40, 5), np.float32)})
    assert found["constant-input", "grave"].text.startswith("input facts: all values are 1")
    held = ARRAYS["facts"].copy()
    held[:, 3] = 2.0
    found, _ = audited(network, tmp_path, good | {"facts": held, "photo": smooth() // 12})
    assert found["constant-columns", "note"].text.endswith("in all samples: 3")
    assert found["low-contrast", "note"].text.startswith("input photo: the images use")
    found, _ = audited(network, tmp_path, good | {"word": np.full((40, 3), 2)})
    assert found["constant-input", "grave"].text.startswith("input word: all values are 2")


def test_a_sample_far_from_the_others_is_left_out(network, tmp_path):
    spoilt = ARRAYS["facts"].copy()
    spoilt[11] *= 200
    found, done = audited(network, tmp_path, ARRAYS | {"photo": smooth(), "facts": spoilt})
    assert found["outlier-images", "note"].images == ["train image 11"]
    assert list(done.left_out) == [11]
