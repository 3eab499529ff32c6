"""The app's way from a picture to the boxes that it draws, against Python's, on 100 scenes."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import PIL
import pytest
from scene_detector import LABELS, NAMES, SPEC, STEPS, scenes, write_detector

from tfeff.compare import Runner
from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task

APP = Path(__file__).parents[2] / "android_demo"
TALL_FIRST = int(PIL.__version__.partition(".")[0]) >= 13
LEAST = 0.3

needs_javac = pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK (openjdk-17-jdk-headless)")


@needs_javac
def test_the_app_gives_the_boxes_that_python_gives_on_100_scenes(tmp_path):
    path = write_detector(tmp_path, "int8")
    runner, task = Runner(path), get_task("detection")
    spec = TaskSpec(name="detection", outputs=NAMES, labels=LABELS, decode=SPEC)
    ports = {port.name: port for port in runner.outputs}
    shutil.copy(path, tmp_path / "model.tflite")
    shutil.copy(path.with_suffix(".json"), tmp_path / "model.json")
    expected = {}
    for number, image in enumerate(scenes(100)):
        outputs = runner(STEPS(image))
        (tmp_path / f"{number}.rgb").write_bytes(struct.pack(">II", *image.shape[:2]) + image.tobytes())
        (tmp_path / f"{number}.outputs").write_bytes(b"".join(ports[n].store(outputs[n]).tobytes() for n in NAMES))
        found = task.in_image(task.decode(outputs, spec), STEPS.placement(*image.shape[:2]))
        frames = [frame for frame in task.frames(found, spec) if frame.score >= LEAST]
        expected[number] = runner.inputs[0].store(STEPS(image)).tobytes(), frames

    core = sorted((APP / "app/src/main/java/org/tfeff/demo/core").rglob("*.java"))
    tools = [APP / f"app/src/test/java/org/tfeff/demo/core/{name}.java" for name in ("DetectAll", "Samples")]
    classes = tmp_path / "classes"
    subprocess.run(["javac", "--release", "8", "-Xlint:-options", "-d", classes, *core, *tools], check=True)
    tall_first = str(TALL_FIRST).lower()
    subprocess.run(
        ["java", "-cp", classes, "org.tfeff.demo.core.DetectAll", tmp_path, tall_first, str(LEAST)], check=True
    )

    seen = 0
    for number, (fed, frames) in expected.items():
        assert (tmp_path / f"{number}.fed").read_bytes() == fed, number
        rows = [row.split(" ", 5) for row in (tmp_path / f"{number}.frames").read_text("utf-8").splitlines()]
        assert [row[5] for row in rows] == [frame.name for frame in frames], number
        values = np.array([[float(value) for value in row[:5]] for row in rows]).reshape(-1, 5)
        wanted = np.array([[*frame.box, frame.score] for frame in frames]).reshape(-1, 5)
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-10, err_msg=str(number))
        seen += len(rows)
    assert seen > 500
