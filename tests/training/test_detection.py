"""Detectors are trained: boxes go where their images go, a few scenes are learnt, a run goes on where it was stopped,
and data without boxes is refused."""

import json

import keras
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from detection_specs import anchors_spec
from detector_files import write_coco
from keras import layers

from tfeff import TfeffError, create, load_preset
from tfeff.data import Preprocessing, Subset, image_port, open_dataset
from tfeff.networks import get_network
from tfeff.record.schema import TaskSpec
from tfeff.training import recipe_for, train
from tfeff.training.average import Average
from tfeff.training.backbone import load_backbone
from tfeff.training.box_batches import BoxBatches
from tfeff.training.box_moves import Window, draw_window, moved_boxes, moved_pixels, recoloured
from tfeff.training.detection import TRAINING
from tfeff.weights import save_weights

NETWORK = "pico_det_pp_lcnet_050"


# Boxes and images move together


@pytest.mark.parametrize("seed", range(6))
def test_a_box_stays_on_its_rectangle(seed):
    random = np.random.default_rng(seed)
    pixels = np.zeros((48, 64, 3), np.uint8)
    x1, y1 = random.integers(10, 30), random.integers(10, 20)
    box = np.array([[x1, y1, x1 + random.integers(12, 24), y1 + random.integers(10, 20)]], float)
    left, top, right, bottom = box[0].astype(int)
    pixels[top:bottom, left:right] = 250
    window = draw_window(random, (48, 64), 0.1)
    image = moved_pixels(pixels, window)[..., 0] > 180  # grey beyond the border is below
    moved, seen = moved_boxes(box, window, (48, 64))
    assert seen[0]
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(found, moved[0], atol=1.0)


def test_the_window_that_is_the_image_changes_nothing_and_mirrors():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    whole, boxes = Window(0, 0, 30, 20), np.array([[2.0, 3, 9, 15]])
    np.testing.assert_array_equal(moved_pixels(pixels, whole), pixels)
    np.testing.assert_array_equal(moved_boxes(boxes, whole, (20, 30))[0], boxes)
    mirror = Window(0, 0, 30, 20, mirrored=True)
    np.testing.assert_array_equal(moved_pixels(pixels, mirror), pixels[:, ::-1])
    np.testing.assert_array_equal(moved_boxes(boxes, mirror, (20, 30))[0], [[21, 3, 28, 15]])


def test_boxes_are_cut_off_and_dropped_by_the_share_that_is_seen():
    boxes = np.array([[0.0, 0, 20, 10], [10, 0, 30, 10], [16, 0, 26, 10], [40, 0, 50, 10]])
    moved, seen = moved_boxes(boxes, Window(0, 0, 20, 20), (40, 40))  # twice as large
    assert seen.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(moved[:3], [[0, 0, 40, 20], [20, 0, 40, 20], [32, 0, 40, 20]])
    assert not moved_boxes(np.array([[17.0, 0, 27, 10]]), Window(0, 0, 20, 20), (40, 40))[1][0]  # 30 % is too little
    assert moved_boxes(np.zeros((0, 4)), Window(0, 0, 20, 20), (40, 40))[0].shape == (0, 4)


def test_colours_change_a_little():
    images = np.random.default_rng(0).integers(60, 190, (8, 10, 10, 3)).astype(np.uint8)
    changed = recoloured(images, np.random.default_rng(1))
    assert changed.dtype == np.float32
    ratio = changed.mean((1, 2, 3)) / images.mean((1, 2, 3))
    assert ((ratio > 0.8) & (ratio < 1.25)).all()
    assert ratio.std() > 0.02


# Batches


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return str(write_coco(tmp_path_factory.mktemp("coco"), count=12))


def batches(dataset, **options):
    return BoxBatches(dataset, image_port(Preprocessing(size=(64, 64))), 5, **options)


def test_batches_hold_each_image_once_with_its_boxes(coco):
    dataset = open_dataset(coco, "train", whole=True)
    found = {}
    for images, targets in (batch for batch in batches(dataset, seed=1)):
        assert images.dtype == targets.dtype == np.float32
        for image, rows in zip(images, targets, strict=True):
            found[image.tobytes()] = rows[rows[:, 4] >= 0]
    assert len(found) == len(dataset)
    preprocessing = Preprocessing(size=(64, 64))
    for number in range(len(dataset)):
        image, objects = dataset.image(number), dataset.annotations["objects"][number]
        rows = found[preprocessing(image).tobytes()]
        there = objects.boxes * np.tile(np.array([64, 64]) / image.shape[1::-1], 2)
        np.testing.assert_allclose(rows[:, :4], there[~objects.crowd], atol=1e-3)
        np.testing.assert_array_equal(rows[:, 4], objects.classes[~objects.crowd])


def test_batches_follow_seed_and_epoch_alone():
    scenes = Subset(open_dataset("fashion_scenes_sample", "train"), np.arange(10))
    one, other, fixed = batches(scenes, move=0.1, seed=0), batches(scenes, move=0.1, seed=0), batches(scenes)
    for each in (one, other):
        each.start_epoch(2)
    np.testing.assert_array_equal(one[1][0], other[1][0])
    np.testing.assert_array_equal(one[1][1], other[1][1])
    first = fixed[0][0]
    fixed.start_epoch(1)
    assert not np.array_equal(fixed[0][0], first)  # fresh scenes
    fixed.start_epoch(0)
    np.testing.assert_array_equal(fixed[0][0], first)


def test_no_two_epochs_have_a_scene_in_common():
    scenes = open_dataset("fashion_scenes_sample", "train")
    names = [{*scenes.renewed(epoch).names} for epoch in range(3)]
    assert sum(map(len, names)) == len(set.union(*names)) == 3 * len(scenes)
    assert scenes.renewed(0) is scenes
    some = Subset(scenes, np.array([5, 3])).renewed(2)
    assert [*some.names] == [scenes.renewed(2).names[5], scenes.renewed(2).names[3]]
    np.testing.assert_array_equal(some.image(1), scenes.renewed(2).image(3))
    assert some.most_objects() == 5


# Averages and backbones


def test_the_average_is_that_of_the_weights():
    image = keras.Input((4,))
    model = keras.Model(image, layers.BatchNormalization(name="bn")(layers.Dense(2, name="dense")(image)))
    average, random = Average(model, 0.9), np.random.default_rng(0)
    average.start()
    wanted = [np.asarray(value) for value in model.weights]
    for step in range(30):
        for variable in model.weights:
            variable.assign(random.normal(size=variable.shape))
        average.step(step)
        keep = min(0.9, (1 + step) / (10 + step))
        wanted = [keep * w + (1 - keep) * np.asarray(v) for w, v in zip(wanted, model.weights, strict=True)]
    own = model.get_weights()
    with average.in_place():
        for found, value in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-5)
    for found, value in zip(model.get_weights(), own, strict=True):
        np.testing.assert_array_equal(found, value)


OPTIONS = {"backbone": "pp_lcnet_025", "channels": 16, "convolutions": 1}


@pytest.fixture(scope="module")
def detector():
    return create(NETWORK, input_shape=(64, 64, 3), classes=10, **OPTIONS)


def test_a_backbone_begins_with_a_preset_s_weights(detector, tmp_path):
    told = load_backbone(detector, "pp_lcnet")
    assert told.startswith("143 of the 146 weights of pp_lcnet")  # all but the layer before the classifier, and it
    trained = load_preset("pp_lcnet").build()
    for name in ("stem", "stage4_block3_dw", "stage5_block2_pw"):
        ours, theirs = (model.get_layer(name).get_weights()[0] for model in (detector, trained))
        np.testing.assert_array_equal(ours, theirs)


def test_a_grey_stem_is_repeated(detector, tmp_path):
    grey = create("pp_lcnet_025", input_shape=(64, 64, 1), classes=10)
    save_weights(grey, tmp_path / "grey.npz")
    load_backbone(detector, str(tmp_path / "grey.npz"))
    kernel, single = (model.get_layer("stem").get_weights()[0] for model in (detector, grey))
    np.testing.assert_allclose(kernel.sum(2), single[:, :, 0], rtol=1e-5)
    np.testing.assert_array_equal(kernel[:, :, 0], kernel[:, :, 2])


@pytest.mark.parametrize(("source", "said"), [("vargnet", "of its"), ("nowhere.npz", "no such file")])
def test_another_network_s_weights_are_refused(detector, source, said):
    with pytest.raises(TfeffError, match=said):
        load_backbone(detector, source)


def test_another_width_is_refused(detector):
    other = create(NETWORK, input_shape=(64, 64, 3), classes=10, **OPTIONS | {"backbone": "pp_lcnet_035"})
    with pytest.raises(TfeffError, match=r"stem/kernel is \(3, 3, 3, 8\)|pp_lcnet_050 has"):
        load_backbone(other, "pp_lcnet")


# Training


def toy(name, *, input_shape, classes, **options):
    """In place of a network: two levels of a PicoDet behind five convolutions."""
    x, outputs = keras.Input(input_shape, name="image"), {}
    image = x
    for number, channels in enumerate((16, 32, 48, 64), start=1):
        x = layers.Conv2D(channels, 3, 2, "same", use_bias=False, name=f"conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8, name=f"bn{number}")(x))
        if number >= 3:
            stride = 2**number
            y = layers.Conv2D(64, 3, padding="same", activation="relu", name=f"head{stride}")(x)
            rare = keras.initializers.Constant(-4.0)
            outputs[f"boxes_{stride}"] = layers.Conv2D(32, 1, name=f"boxes_{stride}")(y)
            outputs[f"scores_{stride}"] = layers.Conv2D(classes, 1, bias_initializer=rare, name=f"scores_{stride}")(y)
            if name.startswith("pico_det_v2"):
                outputs[f"alignment_{stride}"] = layers.Conv2D(1, 1, name=f"alignment_{stride}")(y)
    return keras.Model(image, outputs, name=name)


def toy_ssd(name, *, input_shape, classes, **options):
    """The same of an SSDLite."""
    model = toy(name, input_shape=input_shape, classes=classes)
    outputs = {}
    for stride in (8, 16):
        y = model.get_layer(f"head{stride}").output
        outputs[f"boxes_{stride}"] = layers.Conv2D(6 * 4, 1, name=f"b{stride}")(y)
        outputs[f"scores_{stride}"] = layers.Conv2D(6 * (classes + 1), 1, name=f"s{stride}")(y)
    return keras.Model(model.input, outputs, name=name)


class Fixed(Subset):
    """Scenes that stay the same."""

    def renewed(self, epoch):
        return self


@pytest.mark.parametrize(
    ("network", "build"),
    [(NETWORK, toy), ("pico_det_v2_pp_lcnet_035", toy), ("ssdlite_vargnet_v1_025_g8", toy_ssd)],
    ids=["simota", "task_aligned", "ssd"],
)
def test_eight_scenes_are_learnt(network, build):
    keras.utils.set_random_seed(0)
    scenes = Fixed(open_dataset("fashion_scenes_sample", "train"), np.arange(16, 24))
    recipe = recipe_for(network, "fashion_scenes_sample", 1, input_size=(64, 64), batch_size=8, augment=False)
    model = build(network, input_shape=(64, 64, 3), classes=10)
    spec, port = get_network(network).meaning(model), image_port(Preprocessing(size=(64, 64)))
    student = TRAINING.student(model, spec)
    student.compile(keras.optimizers.Adam(4e-3), loss=TRAINING.loss(recipe, spec), jit_compile=False)
    images, targets = TRAINING.batches(scenes, port, recipe)[0]
    for _ in range(160):
        student.train_on_batch(images, targets)
    assert TRAINING.judge(scenes, port, spec)(model)["ap50"] > 90


def arrays(path):
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


class Stop(Exception):
    pass


@pytest.fixture
def recipe(coco, monkeypatch):
    monkeypatch.setattr("tfeff.training.loop.create", toy)
    return recipe_for(NETWORK, coco, 3, input_size=(64, 64), batch_size=4, validation=0.2, seed=3)


def test_a_run_that_was_stopped_goes_on_to_the_same_network(recipe, tmp_path):
    whole, rest = [], []
    path = train(recipe, tmp_path / "whole", report=whole.append)

    def stop(row):
        if row.get("epoch") == 2:
            raise Stop

    with pytest.raises(Stop):
        train(recipe, tmp_path / "parts", report=stop)
    assert train(recipe, tmp_path / "parts", report=rest.append).name == path.name
    assert [row for row in whole if "note" not in row][2:] == [row for row in rest if "note" not in row]
    for name in ("state.npz", path.with_suffix(".weights.npz").name):
        one, other = (arrays(tmp_path / run / name) for run in ("whole", "parts"))
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)
    assert any(key.startswith("average/") for key in arrays(tmp_path / "whole" / "state.npz"))
    preset = load_preset(path)
    assert preset.labels == ("cat", "dog")
    assert preset.preprocessing == Preprocessing(size=(64, 64))
    rows = [row for row in whole if "epoch" in row]
    assert [{*row} for row in rows] == [{"epoch", "loss", "validation_map", "validation_ap50"}] * 3
    key, value = preset.figure
    assert (key, value) == ("map", whole[-1]["test_map"])
    assert preset.training["recipe"]["average"] == recipe.average
    # What is kept is the average after the best epoch, not the weights that it is of.
    kept, state = arrays(preset.weights), arrays(tmp_path / "whole" / "state.npz")
    if preset.training["best_epoch"] == 3:
        assert any(np.array_equal(kept["conv1/kernel"], value) for key, value in state.items() if key.startswith("av"))


def without_boxes(folder):
    path = write_coco(folder, count=6)
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"annotations": []}))
    return path


def classes_apart(folder):
    """COCO files of training and test images, with different classes."""
    for split, name in (("train", "cat"), ("val", "fox")):
        path = write_coco(folder / split, count=6)
        told = json.loads(path.read_text())
        told["categories"][0]["name"] = name
        path.write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("made", "options", "words"),
    [
        (lambda _: "fashion_mnist_sample", [], ["has no boxes", "fashion_scenes"]),
        (without_boxes, [], ["no training image has a box"]),
        (lambda _: "fashion_scenes_sample", ["--label-smoothing", 0.1], ["--label-smoothing"]),
        (lambda _: "fashion_scenes_sample", ["--input-size", 16], ["--input-size", "too small"]),
        (lambda _: "fashion_scenes_sample", ["--loss", "hinge"], ["--loss hinge", "varifocal"]),
        (lambda _: "fashion_scenes_sample", ["--option", "classes=3"], ["option classes", "--dataset"]),
        (lambda _: "fashion_scenes_sample", ["--option", "channels"], ["NAME=VALUE"]),
        (lambda _: "fashion_scenes_sample", ["--average", 1], ["average"]),
    ],
    ids=["no-annotations", "no-boxes", "smoothing", "size", "loss", "classes", "option", "average"],
)
def test_what_cannot_be_trained_is_refused(capfd, tmp_path, made, options, words):
    dataset = made(tmp_path / "data")
    ran = tfeff(capfd, "train", NETWORK, "--dataset", dataset, "--epochs", 1, "--out", tmp_path / "out", *options)
    assert_refused(ran, *words)
    assert not (tmp_path / "out").exists()


def test_other_classes_in_the_test_images(capfd, tmp_path):
    ran = tfeff(
        capfd, "train", NETWORK, "--dataset", classes_apart(tmp_path / "d"), "--epochs", 1, "--out", tmp_path / "o"
    )
    assert_refused(ran, "different classes")


def test_networks_that_are_not_trained():
    with pytest.raises(TfeffError, match="no training"):
        recipe_for("esnet_s", "fashion_scenes_sample", 1)
    twice = anchors_spec((64, 64), 3, "refined", objectness=0.01)
    spec = TaskSpec(name="detection", outputs=twice.outputs, decode=twice.as_dict())
    with pytest.raises(TfeffError, match="moves its anchors twice"):
        TRAINING.loss(recipe_for("refinedet_vovnet_39", "fashion_scenes_sample", 1), spec)
    once = anchors_spec((64, 64), 3)
    spec = TaskSpec(name="detection", outputs=once.outputs, decode=once.as_dict())
    recipe = recipe_for("ssdlite_vargnet_v1_025_g8", "fashion_scenes_sample", 1, loss="varifocal")
    with pytest.raises(TfeffError, match="choose softmax"):
        TRAINING.loss(recipe, spec)
