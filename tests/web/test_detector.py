"""A detector on the page: it finds what Python finds, and draws it where Python says it is."""

from collections import Counter

import numpy as np
import pytest
from detector_artifact import NAMES, STEPS
from detector_files import LABELS, SIZE, SPEC
from scene_detector import LABELS as THINGS
from scene_detector import NAMES as MAPS
from scene_detector import SPEC as SCENE_SPEC
from scene_detector import STEPS as SCENE_STEPS
from scene_detector import scenes
from web_browser import classify, png, shown_outputs, visit

from tfeff.compare import Runner
from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task
from tfeff.web import PageServer, site

pytest_plugins = ["web_browser", "detector_artifact", "scene_detector"]


def test_the_page_finds_and_draws_what_python_finds(chromium, detector_artifact):
    task, spec = get_task("detection"), TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode=SPEC)
    runner = Runner(detector_artifact.with_name("det.twin.tflite"))
    random = np.random.default_rng(4)
    with PageServer(site([detector_artifact])) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        for number in range(8):
            # the first of them in the input's own size, so that few of its pixels are mixed
            shape = SIZE if number == 0 else random.integers(20, 90, 2)
            image = random.integers(60, 200, (*shape, 3), np.uint8)
            outputs = classify(page, png(image))
            found = task.decode(runner(STEPS(image)), spec)
            for name, values in outputs[0].items():
                np.testing.assert_allclose(values, runner(STEPS(image))[name], atol=1e-4)
            rows = page.eval_on_selector_all("#outputs tbody th", "all => all.map((one) => one.textContent)")
            lines = [text for text, score in task.draw(None, found, spec).lines if score is not None]
            assert rows[: len(lines)] == lines
            assert lines
            drawn = np.array(page.evaluate(
                "(() => { const c = document.getElementById('given'); return Array.from("
                "c.getContext('2d').getImageData(0, 0, c.width, c.height).data); })()"
            )).reshape(*image.shape[:2], 4)[..., :3]  # fmt: skip
            changed = np.abs(drawn.astype(int) - image).max(axis=2) > 0
            boxes = STEPS.placement(*image.shape[:2]).back(found.boxes[found.scores >= 0.3])
            near = np.zeros(image.shape[:2], bool)  # the frames, 2 pixels wide, and the names on top of them
            for left, top, right, bottom in boxes:
                outer = np.s_[max(0, int(top) - 12) : int(bottom) + 3, max(0, int(left) - 2) : int(right) + 40]
                near[outer] = True
                rows_of_it, side = np.s_[int(top) + 1 : int(bottom)], round(left)
                if 2 < left < image.shape[1] - 2 and bottom - top > 4:
                    assert changed[rows_of_it, side - 1 : side + 1].any(axis=1).mean() > 0.9
            assert not changed[~near].any()


def frames(page, file=0):
    """What the page drew of a file: names, and float64 (n, 5) x1 y1 x2 y2 in pixels of the image and score."""
    found = page.evaluate("document.getElementById('given').frames")[file]
    return [each["name"] for each in found], np.array([[*each["box"], each["score"]] for each in found]).reshape(-1, 5)


def of_python(outputs, spec, steps, image, least=0.3):
    """The same of outputs, by Python."""
    task, met = get_task("detection"), Counter()
    found = task.in_image(task.decode(outputs, spec), steps.placement(*image.shape[:2]))
    names = []
    for kind in found.classes[found.scores >= least]:
        met[kind] += 1
        names.append(f"{spec.labels[kind]} ({met[kind]})" if met[kind] > 1 else spec.labels[kind])
    return names, np.concatenate([found.boxes, found.scores[:, None]], axis=1)[: len(names)]


def move(page, slider, value):
    """As a user does."""
    page.evaluate(
        "([id, value]) => { const one = document.getElementById(id); one.value = value;"
        " one.dispatchEvent(new Event('input')); }",
        [slider, value],
    )


def test_the_page_gives_the_boxes_that_python_gives_on_100_scenes(chromium, scene_detector):
    """Of float and int8, of the page's own outputs and of those that LiteRT gives here."""
    spec = TaskSpec(name="detection", outputs=MAPS, labels=THINGS, decode=SCENE_SPEC)
    runners = [Runner(scene_detector.with_name("scene.twin.tflite")), Runner(scene_detector)]
    seen, unlike = 0, []
    with PageServer(site([scene_detector])) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        for number, image in enumerate(scenes(100)):
            there = classify(page, png(image))
            for file, runner in enumerate(runners):
                names, boxes = frames(page, file)
                wanted = of_python(there[file], spec, SCENE_STEPS, image)
                assert names == wanted[0]
                np.testing.assert_allclose(boxes, wanted[1], rtol=1e-9, atol=1e-7)
                wanted = of_python(runner(SCENE_STEPS(image)), spec, SCENE_STEPS, image)
                same = names == wanted[0] and np.allclose(boxes, wanted[1], rtol=1e-3, atol=0.01)
                unlike += [] if same else [(number, file)]
                seen += len(names)
    assert seen > 1000
    assert unlike == []


def test_sliders_and_camera(chromium, detector_artifact):
    image = np.random.default_rng(9).integers(60, 200, (*SIZE, 3), np.uint8)
    with (
        PageServer(site([detector_artifact])) as server,
        visit(chromium, server.url, ready=False, permissions=["camera"]) as page,
    ):
        page.wait_for_selector("body[data-ready=true]")
        outputs = classify(page, png(image))[0]
        assert page.input_value("#most") == "60"
        counts = []
        for slider, value, least, most in (("least", 70, 0.7, 0.6), ("least", 10, 0.1, 0.6), ("most", 20, 0.1, 0.2)):
            move(page, slider, value)
            changed = TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode={**SPEC, "iou_threshold": most})
            boxes = frames(page)[1]
            np.testing.assert_allclose(boxes, of_python(outputs, changed, STEPS, image, least)[1], atol=1e-4)
            counts.append(len(boxes))
        assert counts[0] < counts[2] < counts[1]
        move(page, "least", 5)
        shown = int(page.get_attribute("#outputs", "data-shown"))
        page.click("#camera")
        for _ in range(600):
            if int(page.get_attribute("#outputs", "data-shown")) > shown + 2:
                break
            page.wait_for_timeout(50)
        else:
            pytest.fail("the camera's frames are not looked at")
        page.click("#camera")
        page.wait_for_timeout(300)  # the frame that was under way
        size = page.evaluate("[document.getElementById('given').height, document.getElementById('given').width]")
        assert size not in (list(SIZE), [1, 1])
        changed = TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode={**SPEC, "iou_threshold": 0.2})
        wanted = of_python(shown_outputs(page)[0], changed, STEPS, np.empty((*size, 3)), 0.05)
        found = frames(page)
        np.testing.assert_allclose(found[1], wanted[1], atol=1e-3)
        assert len(found[0]) == len(wanted[0]) > 0
