"""`tfeff compare --pictures` and the report with them, as a user meets them."""

import json
import re
import shutil

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from compare_models import write_test_record
from detector_artifact import NAMES, STEPS
from detector_files import LABELS, SIZE, SPEC, labelled_images, write_coco
from PIL import Image

from tfeff.compare import Runner
from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task

pytest_plugins = ["detector_artifact", "compare_fixtures"]
TASK, OF = get_task("detection"), TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode=SPEC)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("images"), 16)


@pytest.fixture
def detector(detector_artifact, tmp_path):
    """A copy of the artifact."""
    for path in detector_artifact.parent.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / "det.tflite"


def index(folder):
    return json.loads((folder / "pictures.json").read_text(encoding="utf-8"))


def test_the_images_that_differ_most_are_drawn(detector, images, tmp_path, capfd):
    folder = tmp_path / "seen"
    ran = tfeff(capfd, "compare", detector, "--dataset", images, "--pictures", folder, "--pictures-count", 3, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["pictures"] == {"folder": str(folder), "files": ["01.png", "02.png", "03.png"]}
    assert {path.name for path in folder.iterdir()} == {"01.png", "02.png", "03.png", "pictures.json"}
    assert "3 pictures of the images on which the two files differ most" in ran.err

    # From outside: each image through both files, and how far the answers are apart.
    runners = [Runner(detector.with_name("det.twin.tflite")), Runner(detector)]
    place = STEPS.placement(*SIZE)
    answers = [
        [TASK.in_image(TASK.decode(runner(STEPS(image)), OF), place) for runner in runners]
        for image, _ in labelled_images(16)
    ]
    apart = [TASK.apart(*both) for both in answers]
    told = index(folder)
    assert [entry["sample"] for entry in told["pictures"]] == [f"{n}.png" for n in np.argsort(apart)[::-1][:3]]
    assert [entry["apart"] for entry in told["pictures"]] == pytest.approx(sorted(apart, reverse=True)[:3], rel=1e-6)
    assert told["samples"] == 16
    assert told["quantized_sha256"] == ran.json["quantized_sha256"]

    worst = int(np.argmax(apart))
    first = told["pictures"][0]
    lines = [f"{text} {100 * score:.0f} %" for text, score in TASK.draw(None, answers[worst][0], OF).lines]
    assert first["float"] == lines
    assert first["changes"] == TASK.changes(*answers[worst], OF)
    # The picture: three panels of 10 times the image (SIDE // 30), a frame where Python says the box is.
    picture = np.asarray(Image.open(folder / "01.png"))
    left = 10 + 300 + 10  # the panel of the float file
    for frame in TASK.frames(answers[worst][0], OF, answers[worst][1])[:1]:
        x = min(299, max(0, round(float(frame.box[0]) * 10)))
        middle = 28 + round(float(frame.box[1] + frame.box[3]) * 5)
        around = picture[middle - 30 : middle + 30, left + max(0, x - 3) : left + x + 4].reshape(-1, 3)
        assert (around == frame.colour).all(axis=1).any()


def test_a_classifier_s_images_show_both_answers(compared_files, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TFEFF_DATA", str(tmp_path / "nothing"))
    shutil.copy(compared_files.int8, tmp_path / "net.tflite")
    shutil.copy(compared_files.float, tmp_path / "float.tflite")
    write_test_record(tmp_path / "net.tflite")
    ran = tfeff(capfd, "compare", tmp_path / "net.tflite", "--samples", 200, "--pictures", tmp_path / "seen")
    assert ran.code == 0, ran.err
    told = index(tmp_path / "seen")["pictures"]
    assert len(told) == 12
    assert [entry["apart"] for entry in told] == sorted((entry["apart"] for entry in told), reverse=True)
    changed = [entry for entry in told if entry["changes"]]
    assert all((entry["float"][0].split(" ")[0] != entry["quantized"][0].split(" ")[0]) for entry in changed)
    assert all(len(entry["annotated"]) == 1 and len(entry["float"]) == 5 for entry in told)
    assert Image.open(tmp_path / "seen" / "12.png").format == "PNG"


def test_images_without_boxes_can_be_looked_at(detector, images, tmp_path, capfd):
    (tmp_path / "plain" / "one").mkdir(parents=True)
    for number in range(3):
        shutil.copy(images.parent / f"{number}.png", tmp_path / "plain" / "one" / f"{number}.png")
    np.savez(tmp_path / "plain.npz", images=np.stack([image for image, _ in labelled_images(3)]))
    ran = tfeff(capfd, "compare", detector, "--dataset", tmp_path / "plain.npz", "--pictures", tmp_path / "seen")
    assert ran.code == 0, ran.err
    assert "has no labels: the outputs are compared as numbers only" in ran.err
    assert len(index(tmp_path / "seen")["pictures"]) == 3
    assert index(tmp_path / "seen")["pictures"][0]["annotated"] == []


def test_what_is_there_is_not_overwritten(detector, images, tmp_path, capfd):
    command = ("compare", detector, "--dataset", images, "--no-record", "--pictures-count", 1, "--pictures")
    mine = tmp_path / "mine"
    mine.mkdir()
    assert tfeff(capfd, *command, mine).code == 0  # empty
    before = (mine / "01.png").read_bytes()
    assert_refused(tfeff(capfd, *command, mine), "mine: is not empty", "--force")
    assert tfeff(capfd, *command, mine, "--force").code == 0
    assert (mine / "01.png").read_bytes() == before  # the same files, the same bytes
    (mine / "notes.txt").write_text("mine")
    assert_refused(tfeff(capfd, *command, mine, "--force"), "holds 'notes.txt'", "nothing else")
    assert {path.name for path in mine.iterdir()} == {"01.png", "pictures.json", "notes.txt"}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "01.png").write_bytes(b"mine")
    assert_refused(tfeff(capfd, *command, foreign, "--force"), "holds '01.png'")
    assert (foreign / "01.png").read_bytes() == b"mine"
    assert_refused(tfeff(capfd, *command, images), "is no folder")
    assert_refused(tfeff(capfd, *command, tmp_path / "no" / "folder"), "no such folder")
    assert_refused(tfeff(capfd, "compare", detector, "--dataset", images, "--force"), "without --pictures")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tfeff")]


def test_outputs_that_are_numbers_cannot_be_drawn(detector, images, tmp_path, capfd):
    record = json.loads(detector.with_suffix(".json").read_text())
    record["tasks"] = [{"name": "tensors", "outputs": NAMES}]
    detector.with_suffix(".json").write_text(json.dumps(record))
    ran = tfeff(capfd, "compare", detector, "--dataset", images, "--pictures", tmp_path / "seen")
    assert_refused(ran, "which no picture shows")
    assert not (tmp_path / "seen").exists()


def test_the_report_shows_them(detector, images, tmp_path, capfd):
    seen, page = tmp_path / "seen", tmp_path / "report.html"
    ran = tfeff(capfd, "compare", detector, "--dataset", images, "--pictures", seen, "--pictures-count", 2)
    assert ran.code == 0, ran.err
    ran = tfeff(capfd, "report", detector, "--pictures", seen, "--out", page)
    assert ran.code == 0, ran.err
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/png;base64,[A-Za-z0-9+/=]+"', text)) == 2
    for words in ("Where float and int8 differ most", "AP50", "95 % interval of the difference", "AP75",
                  "class by class", "detections that changed"):  # fmt: skip
        assert words in text
    for entry in index(seen)["pictures"]:
        for change in entry["changes"][:3]:
            assert change.replace(">", "&gt;") in text
    ran = tfeff(capfd, "report", detector, "--format", "md", "--pictures", seen)
    assert ran.code == 0, ran.err
    assert "Where float and int8 differ most" in ran.out
    without = tfeff(capfd, "report", detector, "--format", "md")
    assert "--pictures" in without.out  # what was not looked at, and the command
    assert "differ most" in without.out


def test_pictures_that_are_not_of_these_files(detector, images, tmp_path, capfd):
    seen = tmp_path / "seen"
    command = ("report", detector, "--format", "md", "--pictures", seen)
    assert_refused(tfeff(capfd, *command), "pictures.json: cannot be read")
    assert tfeff(capfd, "compare", detector, "--dataset", images, "--pictures", seen, "--pictures-count", 1).code == 0
    good = index(seen)

    def changed(**values):
        (seen / "pictures.json").write_text(json.dumps({**good, **values}))

    changed(quantized_sha256="0" * 64)
    assert_refused(tfeff(capfd, *command), "none of the report's artifacts")
    changed(float_sha256="0" * 64)
    assert_refused(tfeff(capfd, *command), "another float file")
    changed(pictures=[{**good["pictures"][0], "file": "../det.tflite"}])
    assert_refused(tfeff(capfd, *command), "no index of pictures")
    changed(pictures=[{**good["pictures"][0], "file": "02.png"}])
    assert_refused(tfeff(capfd, *command), "02.png: cannot be read")
    changed(kind="others")
    assert_refused(tfeff(capfd, *command), "no index of pictures")
    (seen / "pictures.json").write_text("{")
    assert_refused(tfeff(capfd, *command), "no index of pictures")
    changed()
    (seen / "01.png").write_bytes(b"<svg onload=alert(1)>")
    assert_refused(tfeff(capfd, *command), "01.png: is no PNG")
    Image.new("RGB", (9000, 9000)).save(seen / "01.png")
    assert_refused(tfeff(capfd, *command), "01.png")


def test_what_files_say_is_no_markup(detector, images, tmp_path, capfd):
    seen, page = tmp_path / "seen", tmp_path / "report.html"
    assert tfeff(capfd, "compare", detector, "--dataset", images, "--pictures", seen, "--pictures-count", 1).code == 0
    told = index(seen)
    evil = '"><script>alert(1)</script>\u202e'
    told["pictures"][0].update(sample=evil, changes=[evil], float=[evil], quantized=[evil], annotated=[evil])
    told["dataset"] = evil
    (seen / "pictures.json").write_text(json.dumps(told))
    assert tfeff(capfd, "report", detector, "--pictures", seen, "--out", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text
