"""The Android app's sources: built, tested under JUnit and Robolectric, and its preprocessing against Python's."""

import json
import runpy
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL
import pytest

from tfeff.bench.adb.app_answer import read_answer
from tfeff.data import Preprocessing
from tfeff.record import build as record_of
from tfeff.record import to_dict
from tfeff.tasks import list_tasks

ROOT = Path(__file__).parents[2]
APP = ROOT / "android_demo"
BASE = ROOT / "tfeff/demo/base.apk"
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")

needs_javac = pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK (openjdk-17-jdk-headless)")
missing = [tool for tool in ("javac", "mvn", "aapt2", "zipalign", "apksigner") if shutil.which(tool) is None]
needs_builder = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} missing (.ci/packages-android-demo)")

PIL_MAJOR = int(PIL.__version__.partition(".")[0])
RULES = (
    Preprocessing((224, 224), "cover", (256, 256), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    Preprocessing((32, 48)),
    Preprocessing((28, 28), colour="gray", mean=(72.9,), std=(90.02,)),
    Preprocessing((97, 61), "cover", (113, 64), colour="bgr", mean=(103.94, 116.78, 123.68), std=(17.0, 1.0, 255.0)),
    Preprocessing((31, 40), "fit", colour="bgr"),
    Preprocessing((64, 48), "fit", colour="gray", mean=(1.0,), std=(255.0,), fill=3),
    Preprocessing((5, 7), "exact", (31, 9), colour="gray", mean=(0.0,), std=(1.0,)),
)
INPUTS = (("int8", 0.0186584, -14), ("uint8", 0.0078125, 128), ("float32", 0.0, 0))


def build(*arguments):
    command = [sys.executable, str(APP / "build.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def image(random, number):
    """Noise, edges or a smooth picture, of odd sides from 1 to 700; every third is grey."""
    extremes = ((1, 1), (1, 301), (431, 1), (3, 2), (699, 421))
    height, width = map(int, extremes[number] if number < 5 else 2 * random.integers(1, 200, 2) + 1)
    y, x = np.mgrid[0:height, 0:width]
    kinds = (
        random.integers(0, 256, (height, width, 3)),
        np.where(((x + y) % 2)[..., None], 255, 0) + np.zeros(3, int),
        np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1),
    )
    pixels = kinds[number % 3].astype(np.uint8)
    return np.ascontiguousarray(pixels[..., 0]) if number % 3 == 0 and number % 2 else pixels


def a_record(rule, dtype, scale, zero_point):
    """As Python writes it, so that Java is seen to read that."""
    image = {
        "name": "image", "shape": [1, *rule.shape], "dtype": dtype, "scale": scale, "zero_point": zero_point,
        "preprocessing": rule.as_dict(),
    }  # fmt: skip
    outputs = [{"name": name, "shape": [1, 2], "dtype": "float32"} for name in ("logits", "features")]
    tasks = [
        {"name": "classification", "outputs": ["logits"], "labels": ["a", "b"],
         "decode": {"kind": "multi-label", "scores": "probabilities", "threshold": 0.25}},
        {"name": "tensors", "outputs": ["features"]},
    ]  # fmt: skip
    return record_of({"file": "a.tflite", "sha256": "0" * 64, "inputs": [image], "outputs": outputs, "tasks": tasks})


@needs_javac
def test_preprocessing_equals_pythons_on_50_images_byte_for_byte(tmp_path):
    random, expected = np.random.default_rng(6), {}
    for number in range(50):
        pixels, rule = image(random, number), RULES[number % len(RULES)]
        dtype, scale, zero_point = INPUTS[number // len(RULES) % len(INPUTS)]
        rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)  # as Android decodes a grey file
        (tmp_path / f"{number}.rgb").write_bytes(struct.pack(">II", *rgb.shape[:2]) + rgb.tobytes())
        record = to_dict(a_record(rule, dtype, scale, zero_point)) | {"tall_first": PIL_MAJOR >= 13}
        (tmp_path / f"{number}.json").write_text(json.dumps(record), encoding="utf-8")
        real = rule(pixels)
        if dtype != "float32":  # TensorFlow's affine quantization, halves to even
            limits = np.iinfo(dtype)
            steps = np.rint(real / np.float32(scale)) + np.float32(zero_point)
            real = np.clip(steps, limits.min, limits.max).astype(dtype)
        box = rule.placement(*rgb.shape[:2]).back([[1.5, -2, 20.25, 17]])[0]
        expected[number] = (rule.pixels(pixels).tobytes(), real.tobytes(), box)
    core = sorted((APP / "app/src/main/java/org/tfeff/demo/core").rglob("*.java"))
    tool = APP / "app/src/test/java/org/tfeff/demo/core/PreprocessAll.java"
    classes = tmp_path / "classes"
    subprocess.run(["javac", "--release", "8", "-Xlint:-options", "-d", classes, *core, tool], check=True)
    subprocess.run(["java", "-cp", classes, "org.tfeff.demo.core.PreprocessAll", tmp_path], check=True)
    for number, (pixels, stored, box) in expected.items():
        assert (tmp_path / f"{number}.pixels").read_bytes() == pixels, number
        assert (tmp_path / f"{number}.input").read_bytes() == stored, number
        found = [float(side) for side in (tmp_path / f"{number}.box").read_text().split()]
        assert found == pytest.approx(box, rel=1e-12, abs=1e-12), number


def test_the_packaged_app_was_built_from_these_sources():
    source_hash = runpy.run_path(str(APP / "build.py"))["source_hash"]
    with zipfile.ZipFile(BASE) as apk:
        stamp = apk.read("assets/sources.sha256").decode()
    assert stamp == source_hash(), "run: python3 android_demo/build.py base --out tfeff/demo/base.apk"


def test_core_names_no_class_of_android_nor_of_the_runtime():
    for path in (APP / "app/src/main/java/org/tfeff/demo/core").rglob("*.java"):
        text = path.read_text(encoding="utf-8")
        assert "import android" not in text, path.name
        assert "org.tensorflow" not in text, path.name
    named = [path.name for path in APP.glob("app/src/main/**/*.java") if "org.tensorflow" in path.read_text("utf-8")]
    assert named == ["LiteRuntime.java"]


def test_every_task_is_a_file_of_the_app():
    folder = APP / "app/src/main/java/org/tfeff/demo/core/tasks"
    files = {path.stem.lower() for path in folder.glob("*.java")}
    assert set(list_tasks()) - files == {"segmentation"}  # shown as numbers, as by `tensors`
    assert files - set(list_tasks()) == {
        "answer", "box", "detectiondecode", "detectionspec", "frame", "line", "numbers", "task", "taskspec",
    }  # fmt: skip


def test_gradle_and_maven_name_the_same_versions():
    gradle, pom = (APP / "app/build.gradle").read_text("utf-8"), (APP / "pom.xml").read_text("utf-8")
    for library in ("org.tensorflow:tensorflow-lite", "junit:junit", "org.robolectric:robolectric"):
        version = gradle.split(f"{library}:")[1].split("'")[0]
        artifact = library.split(":")[1]
        assert pom.split(f"<artifactId>{artifact}</artifactId>")[1].split("<version>")[1].startswith(f"{version}<")


@needs_builder
def test_a_signed_apk_comes_out_of_the_sources(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.tflite").write_bytes(b"\0\0\0\0TFL3")
    (models / "a.json").write_text("{}", encoding="utf-8")
    apk = tmp_path / "app.apk"
    build("apk", "--out", apk, "--models", models)
    verified = subprocess.run(["apksigner", "verify", "-v", apk], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    subprocess.run(["zipalign", "-c", "4", apk], check=True, capture_output=True)
    with zipfile.ZipFile(apk) as file, zipfile.ZipFile(BASE) as base:
        names = set(file.namelist())
        for abi in ABIS:  # the packaged app holds the very libraries that Maven Central serves
            name = f"lib/{abi}/libtensorflowlite_jni.so"
            assert file.read(name) == base.read(name)
        assert {"assets/models/a.tflite", "assets/models/a.json", "classes.dex", "resources.arsc"} <= names
        assert {name for name in base.namelist() if not name.startswith("META-INF/")} <= names
        dex = file.read("classes.dex")
    for name in (b"Lorg/tfeff/demo/MainActivity;", b"Lorg/tensorflow/lite/NativeInterpreterWrapper;"):
        assert name in dex
    badging = subprocess.run(["aapt2", "dump", "badging", apk], capture_output=True, text=True, check=True).stdout
    assert "launchable-activity: name='org.tfeff.demo.MainActivity'" in badging
    assert "sdkVersion:'24'" in badging


@needs_builder
def test_junit_and_robolectric_pass_and_draw_every_screen():
    screens = APP / "build/screens"
    shutil.rmtree(screens, ignore_errors=True)
    assert "\nOK (" in build("test")
    drawn = {path.stem for path in screens.glob("*.png")}
    assert drawn == {
        "no-models", "picked", "several", "self-test", "self-test-failed", "mismatch", "benchmark", "boxes", "beside",
    }  # fmt: skip
    # What the app writes is what `tfeff bench --app` reads.
    told = read_answer((screens / "benchmark.run-1.json").read_text("utf-8"))
    assert (told.error, told.outputs, len(told.inference), told.device["locked"]) == ("", bytes([0, 8, 12]), 4, False)
    assert len(told.sha256) == len(told.input_sha256) == 64
    assert (bool(told.runtime), bool(told.version)) == (True, True)
    refused = read_answer((screens / "benchmark.result.json").read_text("utf-8"))
    assert "is not a plain file name" in refused.error
    assert refused.inference == ()
