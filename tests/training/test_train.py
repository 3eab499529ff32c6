"""Training on small synthetic sets: it learns, ends in a preset, and goes on where it was stopped."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from tfeff import TfeffError, load_preset
from tfeff.data import Preprocessing, image_port, open_dataset
from tfeff.training import Batches, Recipe, train

NETWORK = "vargnet_v1_025_g8"


def stripes(count, seed, size=16, classes=2):
    """Noisy stripes, upright or lying: a small network tells them apart at once, a mirrored or moved one too."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    wave = (np.arange(size) // 2 % 2 * 160 + 40).astype(float)
    images = np.empty((count, size, size))
    for number, label in enumerate(labels):
        images[number] = np.broadcast_to(wave if label else wave[:, None], (size, size))
    return np.clip(images + rng.normal(0, 20, images.shape), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    (x_train, y_train), (x_test, y_test) = stripes(200, 0), stripes(40, 1)
    np.savez(
        path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, classes=np.array(["lying", "upright"])
    )
    return str(path)


@pytest.fixture(scope="module")
def recipe(dataset):
    return Recipe(NETWORK, dataset, epochs=3, batch_size=32, input_size=(16, 16), validation=0.1, seed=3)


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    """An uninterrupted run: its folder, its preset's path, what it reported, its progress."""
    out, rows, steps = tmp_path_factory.mktemp("run") / "new", [], []
    path = train(recipe, out, command="tfeff train ...", report=rows.append, progress=lambda *s: steps.append(s))
    return out, path, rows, steps


def arrays(path):
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def assert_same_run(a, b):
    """Two run folders hold the same weights, optimizer state, history and preset, bit for bit."""
    states = [arrays(out / "state.npz") for out in (a, b)]
    assert json.loads(str(states[0].pop("about"))) == json.loads(str(states[1].pop("about")))
    weights = [arrays(next(out.glob("*.weights.npz"))) for out in (a, b)]
    for first, second in (states, weights):
        assert first.keys() == second.keys()
        for key, value in first.items():
            np.testing.assert_array_equal(value, second[key], err_msg=key)
    presets = [json.loads(next(out.glob("*.json")).read_text()) for out in (a, b)]
    for preset in presets:
        preset["training"].pop("command")
    assert presets[0] == presets[1]


def test_ends_in_a_preset_that_loads_and_has_learnt(finished, recipe):
    out, path, rows, _ = finished
    assert {p.name for p in out.iterdir()} == {
        "state.npz", f"{NETWORK}.stripes.json", f"{NETWORK}.stripes.weights.npz",
    }  # fmt: skip
    preset = load_preset(path)
    assert (preset.name, preset.network, preset.dataset) == (f"{NETWORK}.stripes", NETWORK, recipe.dataset)
    assert preset.labels == ("lying", "upright")
    assert preset.preprocessing == Preprocessing(size=(16, 16))
    assert preset.arguments["small_image"] is True
    assert [set(row) for row in rows] == [{"epoch", "loss", "validation_top1"}] * 3 + [{"test_top1"}]
    assert rows[2]["loss"] < rows[0]["loss"]
    assert rows[3]["test_top1"] >= 90
    test = open_dataset(recipe.dataset, "test")
    x = np.stack([preset.preprocessing(test.image(n)) for n in range(len(test))])
    top1 = 100 * (np.asarray(preset.build()(x, training=False)).argmax(-1) == test.labels).mean()
    assert top1 == pytest.approx(rows[3]["test_top1"])
    assert preset.training["float_top1"] == rows[3]["test_top1"]


def test_preset_tells_how_it_was_made(finished, recipe):
    training = load_preset(finished[1]).training
    assert training["command"] == "tfeff train ..."
    assert training["recipe"]["seed"] == recipe.seed
    assert Recipe(**training["recipe"] | {"input_size": tuple(training["recipe"]["input_size"])}) == recipe
    assert training["samples"] == 40
    assert training["history"] == finished[2][:3]
    best = max(row["validation_top1"] for row in training["history"])
    first_best = next(row["epoch"] for row in training["history"] if row["validation_top1"] == best)
    assert training["best_epoch"] == first_best


def test_progress_counts_every_step(finished):
    steps = -(-180 // 32) * 3
    assert finished[3] == [(n + 1, steps) for n in range(steps)]


@pytest.fixture
def tiny(monkeypatch):
    """In place of the network one that is traced in no time, and has the noise that VarGNet lacks: dropout."""

    def create(name, *, input_shape, classes, **options):
        x = image = keras.Input(input_shape, name="image")
        for number in (1, 2):
            x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, name=f"conv{number}")(x)
            x = keras.layers.ReLU()(keras.layers.BatchNormalization(name=f"bn{number}")(x))
        x = keras.layers.Dropout(0.3, name="drop")(keras.layers.Flatten()(x))
        return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name=name)

    monkeypatch.setattr("tfeff.training.loop.create", create)


class Stop(Exception):
    pass


@pytest.mark.usefixtures("tiny")
def test_interrupted_run_goes_on_to_the_same_network(recipe, tmp_path):
    whole = []
    train(recipe, tmp_path / "whole", report=whole.append)
    for after in (1, 2, 3):

        def stop(row, after=after):
            if row.get("epoch") == after:
                raise Stop

        out, rows = tmp_path / str(after), []
        with pytest.raises(Stop):
            train(recipe, out, report=stop)
        assert not list(out.glob("*.json"))
        train(recipe, out, report=rows.append)
        assert [row.get("epoch") for row in rows] == [*range(after + 1, 4), None]
        assert rows == whole[after:]
        assert_same_run(out, tmp_path / "whole")


@pytest.mark.usefixtures("tiny")
def test_seed_changes_the_run(recipe, tmp_path):
    losses = []
    for seed in (3, 4):
        rows = []
        train(replace(recipe, seed=seed, epochs=1), tmp_path / str(seed), report=rows.append)
        losses.append(rows[0]["loss"])
    assert losses[0] != losses[1]


KILLED = """
import sys
from pathlib import Path
from tfeff.training import Recipe, train
dataset, out = sys.argv[1:]
recipe = Recipe({network!r}, dataset, epochs=3, batch_size=32, input_size=(16, 16), validation=0.1, seed=3)
train(recipe, Path(out), report=lambda row: print(row, flush=True), progress=lambda *step: print(step, flush=True))
"""


def test_killed_process_goes_on_to_the_same_network(finished, recipe, tmp_path):
    """kill -9 in the middle of the second epoch, then again from another process: this one."""
    command = [sys.executable, "-c", KILLED.format(network=NETWORK), recipe.dataset, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        for line in child.stdout:
            if line.startswith("(8, 18)"):
                child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert json.loads(str(arrays(tmp_path / "state.npz")["about"]))["history"][-1]["epoch"] == 1
    rows = []
    train(recipe, tmp_path, report=rows.append)
    assert rows == finished[2][1:]
    assert_same_run(tmp_path, finished[0])


def test_finished_run_is_not_trained_again(finished, recipe):
    out, path, rows, _ = finished
    state = (out / "state.npz").read_bytes()
    again = []
    assert train(recipe, out, report=again.append) == path
    assert again == rows[3:]
    assert (out / "state.npz").read_bytes() == state


def test_another_recipe_in_the_same_folder_is_refused(finished, recipe):
    out = finished[0]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(TfeffError) as raised:
        train(replace(recipe, learning_rate=1e-4, seed=4), out)
    assert str(out) in raised.value.what
    assert "learning_rate, seed differ" in raised.value.what
    assert "another --out" in raised.value.mend
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def damaged_state(source, kind):
    state = arrays(source)
    if kind == "cut":
        return source.read_bytes()[:-1000]
    if kind == "empty":
        return b""
    if kind == "text":
        return b"no state"
    import io

    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, np.zeros(3))
    elif kind == "no history":
        np.savez(buffer, **state | {"about": np.array("{}")})
    elif kind == "no optimizer":
        np.savez(buffer, **{key: value for key, value in state.items() if not key.startswith("optimizer")})
    elif kind == "wrong shape":
        np.savez(buffer, **state | {"model/0": np.zeros((3, 3, 3, 9), np.float32)})
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "npy", "no history", "no optimizer", "wrong shape"])
def test_damaged_state_is_refused(finished, recipe, tmp_path, kind):
    (tmp_path / "state.npz").write_bytes(damaged_state(finished[0] / "state.npz", kind))
    with pytest.raises(TfeffError) as raised:
        train(recipe, tmp_path)
    assert raised.value.what.startswith(f"{tmp_path / 'state.npz'}: damaged")
    assert "\n" not in raised.value.what
    assert "remove it" in raised.value.mend


def test_state_is_there_but_the_best_weights_are_gone(finished, recipe, tmp_path):
    (tmp_path / "state.npz").write_bytes((finished[0] / "state.npz").read_bytes())
    with pytest.raises(TfeffError, match="no such file"):
        train(recipe, tmp_path)


@pytest.mark.usefixtures("tiny")
def test_test_images_choose_nothing(recipe, tmp_path, monkeypatch):
    """The best epoch is chosen on held-out training images: another test set gives the same weights."""
    monkeypatch.chdir(tmp_path)
    files = arrays(recipe.dataset)
    runs = []
    for name, labels in (("a", files["y_test"]), ("b", 1 - files["y_test"])):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "set.npz", **files | {"y_test": labels})
        short = replace(recipe, dataset=f"{name}/set.npz", epochs=2)
        runs.append(load_preset(train(short, tmp_path / name / "run")))
    assert runs[0].weights.read_bytes() == runs[1].weights.read_bytes()
    assert runs[0].training["history"] == runs[1].training["history"]
    assert runs[0].training["float_top1"] == pytest.approx(100 - runs[1].training["float_top1"])


def test_held_out_images_are_not_trained_on(recipe):
    from tfeff.training import hold_out

    whole = open_dataset(recipe.dataset, "train")
    fit, held_out = hold_out(whole, recipe.validation, recipe.seed)
    assert (len(fit), len(held_out)) == (180, 20)
    assert not {*fit.names} & {*held_out.names}
    assert hold_out(whole, recipe.validation, recipe.seed)[1].names == held_out.names
    assert hold_out(whole, recipe.validation, 4)[1].names != held_out.names


def test_learning_rate_rises_for_an_epoch_and_falls_to_zero(recipe):
    from tfeff.networks import create
    from tfeff.training.loop import _compile

    model = create(NETWORK, input_shape=(16, 16, 3), classes=2, small_image=True)
    _compile(model, replace(recipe, epochs=4, learning_rate=0.01), 10, "mse")
    rate = model.optimizer._learning_rate  # the schedule
    assert float(rate(0)) < 1e-5
    assert float(rate(10)) == pytest.approx(0.01)
    assert float(rate(25)) == pytest.approx(0.005, rel=1e-3)
    assert float(rate(39)) < 1e-4
    assert float(rate(40)) == pytest.approx(0, abs=1e-9)


def mixed_folder(root):
    """Folders of classes with every kind of image that is read; returns the root."""
    images, labels = stripes(240, 0)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / ("train" if number < 200 else "test") / ("upright" if label else "lying")
        folder.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(image)
        picture, suffix = [
            (grey, "png"), (grey, "JPG"), (grey.convert("RGB"), "jpeg"), (grey.convert("RGBA"), "png"),
            (grey.convert("P"), "gif"), (grey.resize((20, 24)), "bmp"),
        ][number // 2 % 6]  # fmt: skip
        picture.save(folder / f"{number}.{suffix}")
    return root


@pytest.mark.usefixtures("tiny")
def test_folders_with_mixed_images(tmp_path):
    root = mixed_folder(tmp_path / "pictures")
    recipe = Recipe(NETWORK, str(root), epochs=6, batch_size=16, input_size=(16, 16), validation=0.1)
    rows = []
    preset = load_preset(train(recipe, tmp_path / "run", report=rows.append))
    assert (preset.name, preset.labels) == (f"{NETWORK}.pictures", ("lying", "upright"))
    assert rows[-1]["test_top1"] >= 75


def test_unreadable_image_is_named(tmp_path):
    root = mixed_folder(tmp_path / "pictures")
    (root / "train" / "lying" / "broken.png").write_bytes(b"no image")
    with pytest.raises(TfeffError, match=r"broken\.png: cannot be read"):
        train(Recipe(NETWORK, str(root), epochs=1, input_size=(16, 16)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_classes_in_the_test_folder(tmp_path):
    root = mixed_folder(tmp_path / "pictures")
    (root / "test" / "lying").rename(root / "test" / "leaning")
    with pytest.raises(TfeffError, match="different classes"):
        train(Recipe(NETWORK, str(root), epochs=1, input_size=(16, 16)), tmp_path / "run")


def test_one_class_is_not_enough(tmp_path):
    images, _ = stripes(20, 0)
    np.savez(tmp_path / "a.npz", images=images, labels=np.zeros(20, int))
    with pytest.raises(TfeffError, match="1 class") as raised:
        train(Recipe(NETWORK, str(tmp_path / "a.npz"), epochs=1), tmp_path / "run")
    assert "at least 2" in raised.value.mend


def test_too_few_images_to_hold_any_out(tmp_path):
    images, labels = stripes(1, 0)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, classes=["a", "b"])
    with pytest.raises(TfeffError, match="too few"):
        train(Recipe(NETWORK, str(tmp_path / "a.npz"), epochs=1), tmp_path / "run")


def test_unknown_names_leave_nothing_behind(recipe, tmp_path):
    detector = {"network": "pico_det_pp_lcnet_050"}  # which takes another training
    for wrong in ({"network": "vargnet_v1_26_g8"}, {"dataset": "no/such.npz"}, detector):
        with pytest.raises(TfeffError):
            train(replace(recipe, **wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_out_that_is_a_file(recipe, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TfeffError, match="cannot be made a folder") as raised:
        train(recipe, tmp_path / "file")
    assert "another --out" in raised.value.mend


@pytest.mark.usefixtures("tiny")
def test_loss_that_is_no_number_stops_the_run(recipe, tmp_path):
    with pytest.raises(TfeffError, match="the loss of epoch 1 is nan") as raised:
        train(replace(recipe, learning_rate=1e30), tmp_path)
    assert "learning rate below" in raised.value.mend
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "epochs must be above 0, not 0"),
        ({"epochs": -1}, "epochs must be above 0, not -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"validation": 0.0}, "validation"),
        ({"validation": 1.0}, "validation"),
        ({"move": 1.0}, "move"),
        ({"move": -0.1}, "move"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"weight_decay": -0.1}, "weight_decay"),
    ],
)
def test_bad_recipes(wrong, told):
    with pytest.raises(TfeffError) as raised:
        Recipe(**{"network": NETWORK, "dataset": "x", "epochs": 1, **wrong})
    assert raised.value.what.startswith("training:")
    assert told in raised.value.what


# Batches


def batches(dataset, **options):
    return Batches(open_dataset(dataset, "train"), [image_port(Preprocessing(size=(16, 16)))], 32, **options)


def test_batches_hold_every_image_once_with_its_label(dataset):
    whole = open_dataset(dataset, "train")
    sequence = batches(dataset, seed=0)
    assert len(sequence) == 7
    pairs = [pair for number in range(7) for pair in zip(*sequence[number], strict=True)]
    assert pairs[0][0].shape == (16, 16, 3)
    seen = sorted((image.tobytes(), int(label)) for image, label in pairs)
    expected = [(sequence.inputs[0].preprocessing(whole.image(n)).tobytes(), int(whole.labels[n])) for n in range(200)]
    assert seen == sorted(expected)


def test_batches_follow_seed_and_epoch_alone(dataset):
    a, b, c = batches(dataset, move=0.125, seed=0), batches(dataset, move=0.125, seed=0), batches(dataset, seed=1)
    a.start_epoch(2)
    b.start_epoch(1)
    assert not np.array_equal(a[3][0], b[3][0])
    b[0], b[5]
    b.start_epoch(2)
    np.testing.assert_array_equal(a[3][0], b[3][0])
    c.start_epoch(2)
    assert not np.array_equal(a[3][1], c[3][1])


def test_batches_without_a_seed_keep_the_order(dataset):
    np.testing.assert_array_equal(batches(dataset)[0][1], open_dataset(dataset, "train").labels[:32])


def test_large_sets_are_read_batch_by_batch(dataset, monkeypatch):
    in_memory = batches(dataset, move=0.125, seed=0)
    monkeypatch.setattr("tfeff.training.batches._PRELOAD", 0)
    streamed = batches(dataset, move=0.125, seed=0)
    assert streamed._stored is None
    for a, b in zip(in_memory[2], streamed[2], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("move", "reach_y", "reach_x"), [(0.125, 2, 3), (0.0625, 1, 1), (0, 0, 0)])
def test_augmentation_mirrors_and_moves_and_invents_nothing(move, reach_y, reach_x):
    from tfeff.training.batches import _augment

    image = np.arange(1, 16 * 24 + 1, dtype=np.float32).reshape(1, 16, 24, 1)
    images = np.repeat(image, 200, axis=0)
    results = _augment(images, move, np.random.default_rng(0))
    assert results.shape == images.shape
    seen = set()
    for result in results[..., 0]:
        mirrored = result[8, 10] > result[8, 11]
        upright = result[:, ::-1] if mirrored else result
        row, column = divmod(int(upright[8, 12]) - 1, 24)
        dy, dx = row - 8, column - 12
        assert abs(dy) <= reach_y
        assert abs(dx) <= reach_x
        seen.add((bool(mirrored), dy, dx))
        expected = np.pad(image[0, ..., 0], ((reach_y, reach_y), (reach_x, reach_x)), constant_values=1)  # the darkest
        rows, columns = slice(reach_y + dy, reach_y + dy + 16), slice(reach_x + dx, reach_x + dx + 24)
        np.testing.assert_array_equal(upright, expected[rows, columns])
    assert {mirrored for mirrored, *_ in seen} == {False, True}
    assert {dy for _, dy, _ in seen} == {*range(-reach_y, reach_y + 1)}
    assert {dx for *_, dx in seen} == {*range(-reach_x, reach_x + 1)}
    np.testing.assert_array_equal(images, np.repeat(image, 200, axis=0))


def test_label_smoothing_is_keras_own():
    from tfeff.training.classification import _SmoothCrossEntropy

    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(8, 5)).astype("float32"), rng.integers(0, 5, 8)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected = float(theirs(np.eye(5)[labels], logits))
    assert float(_SmoothCrossEntropy(0.1)(labels, logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("end", [".json", ".weights.npz"])
def test_a_preset_that_this_recipe_did_not_make_stays(recipe, tmp_path, end):
    foreign = tmp_path / f"{recipe.network}.stripes{end}"
    foreign.write_text('{"training": 5}')
    with pytest.raises(TfeffError, match="exists, and is not of this run"):
        train(recipe, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(foreign.name, '{"training": 5}')]


@pytest.mark.parametrize("end", [".json", ".weights.npz"])
def test_a_preset_that_was_made_meanwhile_stays(recipe, tmp_path, monkeypatch, end):
    foreign = tmp_path / f"{recipe.network}.stripes{end}"

    def another(*told):
        foreign.write_text("another's")
        return 0.0

    monkeypatch.setattr("tfeff.training.loop._fit", another)  # in place of an epoch
    monkeypatch.setattr("tfeff.training.classification.TRAINING.judge", lambda *told: lambda model: {"top1": 50.0})
    with pytest.raises(TfeffError, match="exists already"):
        train(replace(recipe, epochs=1), tmp_path)
    assert foreign.read_text() == "another's"
