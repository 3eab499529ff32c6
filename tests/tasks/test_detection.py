"""The task: what it refuses, and files compared in it, against pycocotools."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from box_scenes import annotated, coco_figures, detected
from cli_runner import tfeff
from compare_models import convert_ports
from detector_files import LABELS, MEAN, SHAPES, SIZE, SPEC, STD, detector_function, outputs_of, write_coco

from tfeff import TfeffError
from tfeff.data import Preprocessing, open_dataset
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks import Head, get_task, said
from tfeff.tasks.detection_spec import read_spec

TASK = get_task("detection")
NAMES = ["boxes_6", "scores_6", "boxes_12", "scores_12"]


def spec(labels=LABELS, **changes):
    return TaskSpec(name="detection", outputs=list(NAMES), labels=list(labels), decode={**SPEC, **changes})


def ports(**shapes):
    return [Port(name=name, shape=[1, *shapes.get(name, SHAPES[name])], dtype="float32") for name in NAMES]


def test_ports_that_fit():
    TASK.check(spec(), ports())
    TASK.check(spec(labels=()), ports())


@pytest.mark.parametrize(
    ("of", "given", "message"),
    [
        (spec(labels=["cat"]), ports(), "1 labels for 2 classes"),
        (spec(), ports(scores_6=(4, 5, 3)), r"output scores_6 has shape \(1, 4, 5, 3\).*\(1, 4, 5, 2\)"),
        (spec(classes=0), ports(), "classes"),
        (spec(kind="anchors"), ports(), "do not go with kind anchors"),
        (spec(more=1), ports(), "unknown field"),
        (spec(iou_threshold=1.5), ports(), "iou_threshold"),
        (spec(score_threshold="0.5"), ports(), "score_threshold"),
        (spec(score_threshold=1e300), ports(), "score_threshold"),
        (spec(score="x" * 10**5), ports(), r"^task detection: Invalid enum value 'x{200,300}\.\.\."),
        (TaskSpec(name="detection", outputs=NAMES[::-1], decode=SPEC), ports()[::-1], "same order|are of boxes_6"),
        (TaskSpec(name="detection", outputs=NAMES), ports(), "missing required field"),
    ],
)
def test_ports_that_do_not_fit(of, given, message):
    with pytest.raises(TfeffError, match=message) as raised:
        TASK.check(of, given)
    assert raised.value.mend


ONE = (annotated([[1, 2, 3, 4]], [1]),)


def dataset(classes=LABELS, objects=ONE):
    class Boxes(SimpleNamespace):
        def __len__(self):
            return len(objects or ())

    held = {} if objects is None else {"objects": objects}
    return Boxes(name="mine", labels=None, classes=tuple(classes), guessed=False, annotations=held)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dataset(objects=None), "has no boxes, so there is no mAP"),
        (dataset(objects=()), "holds no images"),
        (dataset(classes=("cat", "dog", "cow")), "has 3 classes, the network has 2"),
        (dataset(classes=("cat", "cow")), "its class 'cow' is none of the record's labels"),
    ],
)
def test_datasets_that_do_not_fit(given, message):
    with pytest.raises(TfeffError, match=message):
        TASK.annotations(given, spec(), ports())


def test_classes_are_found_by_their_names():
    from tfeff.data.dataset import Objects

    none = np.zeros(2, bool)
    objects = [Objects(np.zeros((2, 4)), np.array([0, 1]), none, none)]
    assert TASK.annotations(dataset(["dog", "cat"], objects), spec(), ports())[0].classes.tolist() == [1, 0]
    alone = [Objects(np.zeros((1, 4)), np.array([0]), none[:1], none[:1])]
    assert TASK.annotations(dataset(["dog"], alone), spec(), ports())[0].classes.tolist() == [1]
    with pytest.raises(TfeffError, match="has 1 classes, the network has 2"):
        TASK.annotations(dataset(["dog"], objects), spec(labels=()), ports())


def test_said_by_a_file(tmp_path):
    heads = [Head(name, SHAPES[name]) for name in NAMES]
    path = tmp_path / "heads.json"
    path.write_text(json.dumps({**SPEC, "labels": LABELS}))
    (found,), left = said([f"detection:{path}"], heads, "mine")
    assert (found.outputs, found.labels, left) == (NAMES, LABELS, [])
    assert read_spec(found.decode) == read_spec(SPEC)
    for text, message in (
        ("{", "cannot be read"), (json.dumps({**SPEC, "labels": 3}), "labels are no list"),
        (json.dumps({**SPEC, "bins": 0}), "bins 0"), ("[]", "holds no JSON object"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(TfeffError, match=message):
            said([f"detection:{path}"], heads, "mine")
    path.write_text(json.dumps(SPEC))
    with pytest.raises(TfeffError, match="reads the output 'boxes_6', the model has a"):
        said([f"detection:{path}"], [Head("a", (1, 2, 3))], "mine")
    with pytest.raises(TfeffError, match="how its outputs become boxes is not known"):
        said(["detection"], heads, "mine")


def test_answers_that_are_the_same():
    one = detected([[0, 0, 10, 10], [20, 0, 30, 10]], [0, 1], [0.9, 0.1])
    assert TASK.same_answer(one, detected([[0, 0, 10, 9.5]], [0], [0.31]))  # what is below the threshold is not seen
    assert TASK.same_answer(one, detected([[0, 0, 10, 9.5]], [0], [0.29]))  # nor need a partner be above it
    assert not TASK.same_answer(one, detected([[0, 0, 10, 8]], [0], [0.9]))
    assert not TASK.same_answer(one, detected([[0, 0, 10, 10]], [1], [0.9]))
    assert not TASK.same_answer(one, detected([*one.boxes, [50, 50, 60, 60]], [0, 1, 1], [0.9, 0.1, 0.8]))
    assert TASK.same_answer(detected([], [], []), detected([], [], []))


def test_drawn_as_lines_and_frames():
    found = detected(
        [[2, 3, 12, 13], [4.4, 5, 20, 19.6], [0, 0, 5, 5], [1, 1, 5, 5]], [1, 0, 1, 0], [0.9, 0.8, 0.4, 0.2]
    )
    picture = TASK.draw(np.zeros((24, 30), np.uint8), found, spec())
    assert list(picture.lines) == [("dog", 0.9), ("cat", 0.8), ("dog (2)", 0.4)]
    assert picture.image.shape == (24, 30, 3)
    lit = picture.image.any(axis=2)
    assert min(lit[3, 2:12].min(), lit[12, 2:12].min(), lit[19, 4:20].min())
    assert not lit[21:].any()
    assert not lit[10, 22:].any()
    assert TASK.draw(None, detected([], [], []), spec()).lines == (("nothing found", None),)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_no_numbers(value):
    outputs = {name: np.full(shape, 3.0, np.float32) for name, shape in SHAPES.items()}
    outputs["boxes_6"][...] = value
    with np.errstate(all="ignore"):
        found = TASK.decode(outputs, spec())
        assert TASK.same_answer(found, found)
        TASK.draw(np.zeros((*SIZE, 3), np.uint8), found, spec())


def test_belief_is_the_surest_box():
    outputs = {name: np.full(SHAPES[name], -9, np.float32) for name in NAMES}
    outputs["scores_12"][1, 2, 1] = -1
    number, log_score = TASK.belief(outputs, spec())
    assert (number, np.exp(log_score)) == (1, pytest.approx(1 / (1 + np.e)))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two files, a folder of images with boxes, and what the command says of them."""
    folder = tmp_path_factory.mktemp("detector")
    annotations = write_coco(folder / "images", 40, resize=(48, 30))
    steps = Preprocessing(SIZE, mean=(MEAN,) * 3, std=(STD,) * 3)
    images = open_dataset(str(annotations), "test", whole=True)
    samples = [{"image": steps(images.image(number))[None]} for number in range(20)]
    shape = {"image": ((1, *SIZE, 3), "float32")}
    convert_ports(detector_function, shape, folder / "a.float.tflite")
    convert_ports(detector_function, shape, folder / "a.int8.tflite", samples)
    (folder / "heads.json").write_text(json.dumps({**SPEC, "labels": LABELS}))
    arguments = [
        "compare", str(folder / "a.int8.tflite"), "--against", str(folder / "a.float.tflite"), "--dataset",
        str(annotations), "--task", f"detection:{folder / 'heads.json'}", "--mean", str(MEAN), "--std", str(STD),
    ]  # fmt: skip
    return folder, arguments, images, steps


def test_compared_as_pycocotools_says(compared, capfd):
    _, arguments, images, steps = compared
    (entry,) = tfeff(capfd, *arguments, "--json").json["accuracy"]
    pairs = []
    for number in range(len(images)):
        image = images.image(number)
        found = TASK.decode(outputs_of(steps.pixels(image)), spec())
        scale = np.array([image.shape[1] / SIZE[1], image.shape[0] / SIZE[0]] * 2)
        boxes = np.clip(found.boxes * scale, 0, [image.shape[1], image.shape[0]] * 2)
        pairs.append((images.annotations["objects"][number], detected(boxes, found.classes, found.scores)))
    wanted = coco_figures(pairs)[0]
    assert 10 < wanted[0] < 90
    assert [entry["float"], entry["details"]["ap50"]["float"], entry["details"]["ap75"]["float"]] == pytest.approx(
        wanted, abs=1e-6
    )
    assert (entry["metric"], entry["unit"], entry["samples"], entry["test"]) == ("mAP", "%", 40, "bootstrap")
    assert entry["delta"] == pytest.approx(entry["quantized"] - entry["float"])
    assert entry["ci95"][0] <= entry["delta"] <= entry["ci95"][1]
    assert entry["ci95"][0] < entry["ci95"][1]
    assert {group["label"] for group in entry["groups"]} == set(LABELS)
    assert 0 <= entry["details"]["changed"] < 60


def test_a_drop_of_map_fails(compared, capfd):
    _, arguments, *_ = compared
    ran = tfeff(capfd, *arguments, "--max-drop", "0")
    assert (ran.code, "mAP fell by" in ran.err) == (1, True)


def test_the_table_that_people_read(compared, capfd):
    said = tfeff(capfd, *compared[1]).err
    for words in ("float mAP", "AP50", "AP75", "AP of VOC 2007", "detections that changed", "worst classes"):
        assert words in said
