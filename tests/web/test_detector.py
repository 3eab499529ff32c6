"""A detector on the page: it finds what Python finds, and draws it where Python says it is."""

import numpy as np
import pytest
from compare_models import convert_ports
from detector_files import LABELS, MEAN, SHAPES, SIZE, SPEC, STD, detector_function, labelled_images
from web_browser import classify, png, visit
from web_models import write_record_2

from tfeff.compare import Runner
from tfeff.data import Preprocessing
from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task
from tfeff.web import PageServer, site

pytest_plugins = ["web_browser"]

STEPS = Preprocessing(SIZE, "fit", mean=(MEAN,) * 3, std=(STD,) * 3)
NAMES = ["boxes_6", "scores_6", "boxes_12", "scores_12"]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    path, twin = folder / "det.tflite", folder / "det.twin.tflite"
    samples = [{"image": STEPS(image)[None]} for image, _ in labelled_images(8)]
    shape = {"image": ((1, *SIZE, 3), "float32")}
    convert_ports(detector_function, shape, twin)
    convert_ports(detector_function, shape, path, samples, io="float32")
    write_record_2(
        path, twin,
        inputs=[{"name": "image", "shape": [1, *SIZE, 3], "dtype": "float32", "preprocessing": STEPS.as_dict()}],
        outputs=[{"name": name, "shape": [1, *SHAPES[name]], "dtype": "float32"} for name in NAMES],
        tasks=[{"name": "detection", "outputs": NAMES, "labels": LABELS, "decode": SPEC}],
    )  # fmt: skip
    return path


def test_the_page_finds_and_draws_what_python_finds(chromium, artifact):
    task, spec = get_task("detection"), TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode=SPEC)
    runner = Runner(artifact.with_name("det.twin.tflite"))
    random = np.random.default_rng(4)
    with PageServer(site([artifact])) as server, visit(chromium, server.url, ready=False) as page:
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
