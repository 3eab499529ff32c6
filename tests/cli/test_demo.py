"""`tfeff demo` as a user runs it."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from io import BytesIO

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from compare_models import PREPROCESSING, write_old_record, write_test_record
from PIL import Image

from tfeff.artifact import read_record
from tfeff.data import open_dataset
from tfeff.demo.key import open_key
from tfeff.record import to_dict

pytest_plugins = ["compare_fixtures", "web_models"]


@pytest.fixture(scope="module")
def own_key(tmp_path_factory):
    """Made once: primes take seconds."""
    path = tmp_path_factory.mktemp("key") / "demo-key.pem"
    open_key(path)
    return path


@pytest.fixture
def artifacts(app_artifacts, own_key, tmp_path):
    """`app_artifacts`, and the key where the command looks for it."""
    (tmp_path / "config/tfeff").mkdir(parents=True)
    shutil.copy(own_key, tmp_path / "config/tfeff")
    return app_artifacts


def change_record(path, **changes):
    record = json.loads(path.with_suffix(".json").read_text())
    record = {key: value for key, value in {**record, **changes}.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(record))


def test_the_apk_holds_models_records_self_tests_and_the_runtime(artifacts, tmp_path, capfd):
    out = tmp_path / "app.apk"
    write_old_record(artifacts["float"])
    ran = tfeff(capfd, "demo", artifacts["int8"], artifacts["float"].with_suffix(".json"), "--out", out, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert [model["name"] for model in ran.json["models"]] == ["int8", "float"]
    assert f"adb install --no-streaming -r {out}" in ran.err
    with zipfile.ZipFile(out) as apk:
        assert apk.testzip() is None
        for name, path in artifacts.items():
            assert apk.read(f"assets/models/{name}.tflite") == path.read_bytes()
            # The record in today's schema, whatever it is in beside the file.
            told = json.loads(apk.read(f"assets/models/{name}.json"))
            assert told == to_dict(read_record(path.with_suffix(".json")))
            assert (told["schema_version"], told["sha256"]) == (2, hashlib.sha256(path.read_bytes()).hexdigest())
        for abi in ("arm64-v8a", "armeabi-v7a", "x86_64"):
            assert apk.read(f"lib/{abi}/libtensorflowlite_jni.so")[:4] == b"\x7fELF"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "app.apk", "config", "float.json", "float.tflite", "int8.json", "int8.tflite"
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "schema"), [("int8", 2), ("int8", 1), ("float", 2)])
def test_the_self_tests_bytes_are_the_runtimes(artifacts, tmp_path, capfd, name, schema):
    from ai_edge_litert.interpreter import Interpreter

    out = tmp_path / "app.apk"
    if schema == 1:
        write_old_record(artifacts[name], dataset="fashion_mnist")
    assert tfeff(capfd, "demo", artifacts[name], "--out", out).code == 0
    with zipfile.ZipFile(out) as apk:
        expected = json.loads(apk.read(f"assets/models/{name}.selftest.json"))
        picture = np.asarray(Image.open(BytesIO(apk.read(f"assets/models/{name}.selftest.png"))))
    assert np.array_equal(picture, open_dataset("fashion_mnist_sample", "test").image(0))
    interpreter = Interpreter(model_path=str(artifacts[name]), num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    stored = PREPROCESSING(picture)
    if name == "int8":
        scale, zero_point = entry["quantization"]
        stored = np.clip(np.rint(stored / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(entry["index"], stored[None])
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert bytes.fromhex(expected["input_hex"]) == stored.tobytes()
    (port,) = read_record(artifacts[name].with_suffix(".json")).outputs
    assert {name: bytes.fromhex(text) for name, text in expected["output_hex"].items()} == {port.name: output.tobytes()}
    assert expected["sha256"] == hashlib.sha256(artifacts[name].read_bytes()).hexdigest()
    labels = open_dataset("fashion_mnist_sample", "test").classes
    (lines,) = expected["answers"]
    assert lines[:2] == [labels[number] for number in np.argsort(-output[0].astype(np.float64), kind="stable")[:2]]


def test_a_picture_of_the_users_own_comes_into_the_self_test(artifacts, tmp_path, capfd):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    out = tmp_path / "app.apk"
    assert tfeff(capfd, "demo", artifacts["int8"], "--out", out, "--image", tmp_path / "mine.png").code == 0
    with zipfile.ZipFile(out) as apk:
        found = np.asarray(Image.open(BytesIO(apk.read("assets/models/int8.selftest.png"))))
    assert np.array_equal(found, pixels)


HEADS = (("age", 1), ("objects", 6), ("features", 12))
TASKS = [
    {"name": "regression", "outputs": ["age"], "labels": ["years"]},
    {"name": "classification", "outputs": ["objects"], "decode": {"kind": "multi-label", "scores": "logits"}},
]


def test_every_output_of_several_is_in_the_self_test(make_artifact, own_key, tmp_path, capfd):
    from ai_edge_litert.interpreter import Interpreter

    path, out = make_artifact(heads=HEADS, tasks=TASKS), tmp_path / "app.apk"
    ran = tfeff(capfd, "demo", path, "--out", out, "--key", own_key, "--json")
    assert ran.code == 0, ran.err
    with zipfile.ZipFile(out) as apk:
        expected = json.loads(apk.read("assets/models/small.selftest.json"))
        told = json.loads(apk.read("assets/models/small.json"))
    assert [(port["name"], port["shape"]) for port in told["outputs"]] == [(n, [1, size]) for n, size in HEADS]
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    outputs = interpreter.get_signature_runner("serving_default")(
        image=np.frombuffer(bytes.fromhex(expected["input_hex"]), np.float32).reshape(told["inputs"][0]["shape"])
    )
    assert {name: bytes.fromhex(text) for name, text in expected["output_hex"].items()} == {
        name: values.tobytes() for name, values in outputs.items()
    }
    assert list(expected["output_hex"]) == [name for name, _ in HEADS]
    (age,), objects = expected["answers"]
    assert age == f"years {outputs['age'].item():.4g}"
    assert objects[0] == f"class {outputs['objects'].argmax()}"
    assert ran.json["models"] == [{"name": "small", "sha256": told["sha256"], "answer": f"{age}; {objects[0]}"}]


def test_models_that_the_app_cannot_feed_are_refused(make_artifact, tmp_path, capfd):
    out = tmp_path / "app.apk"
    vector = {"name": "vector", "shape": [1, 9], "dtype": "float32"}
    ran = tfeff(capfd, "demo", make_artifact("flat", inputs=[vector]), "--out", out)
    assert_refused(ran, "no preprocessing for vector [1, 9]", "the app runs models that take one image")
    image = json.loads(make_artifact("whole").with_suffix(".json").read_text())["inputs"][0]
    ran = tfeff(capfd, "demo", make_artifact("two", inputs=[image, vector]), "--out", out)
    assert_refused(ran, "has 2 inputs (image, vector); the app runs models that take one image")
    other = [{"name": name, "shape": [1, size], "dtype": "float32"} for name, size in (("age", 1), ("sex", 2))]
    ran = tfeff(capfd, "demo", make_artifact("names", heads=HEADS[:2], outputs=other), "--out", out)
    assert_refused(ran, "outputs: the record says age, sex, the file has", "objects")
    ran = tfeff(capfd, "demo", make_artifact("kind", tasks=[{"name": "dreaming", "outputs": ["logits"]}]), "--out", out)
    assert_refused(ran, "unknown task 'dreaming'")
    assert not out.exists()


@pytest.mark.skipif(shutil.which("apksigner") is None, reason="no apksigner (Debian package apksigner)")
def test_androids_own_tools_accept_the_apk_and_notice_a_changed_byte(artifacts, tmp_path, capfd):
    out = tmp_path / "app.apk"
    assert tfeff(capfd, "demo", artifacts["int8"], "--out", out).code == 0
    verify = ["apksigner", "verify", "-v", str(out)]
    ran = subprocess.run(verify, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in ran.stdout
    if shutil.which("zipalign"):
        subprocess.run(["zipalign", "-c", "4", str(out)], check=True, capture_output=True)
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    assert subprocess.run(verify, capture_output=True).returncode != 0


def test_the_same_inputs_give_the_same_bytes_and_the_key_stays(app_artifacts, tmp_path, capfd):
    first, second = tmp_path / "a.apk", tmp_path / "b.apk"
    assert tfeff(capfd, "demo", app_artifacts["int8"], "--out", first).code == 0
    key = tmp_path / "config/tfeff/demo-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert tfeff(capfd, "demo", app_artifacts["int8"], "--out", second).code == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_openssl_finds_the_key_sound(app_artifacts, tmp_path, capfd):
    key = tmp_path / "k.pem"
    assert tfeff(capfd, "demo", app_artifacts["int8"], "--out", tmp_path / "a.apk", "--key", key).code == 0
    ran = subprocess.run(["openssl", "rsa", "-in", key, "-check", "-noout"], capture_output=True, text=True)
    assert "RSA key ok" in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": {"shape": [1, 10], "dtype": "int8", "scale": 0.5, "zero_point": 0}}, ["output scale", "0.5"]),
        ({"input": None}, ["says nothing of its inputs"]),
        ({"labels": ["one", "two"]}, ["2 labels", "gives 10 values"]),
        ({"preprocessing": None}, ["no preprocessing"]),
        ({"sha256": "0" * 64}, ["is not the file that"]),
    ],
    ids=["scale", "input", "labels", "preprocessing", "sha256"],
)
def test_an_old_record_that_does_not_fit_is_refused(artifacts, tmp_path, capfd, changes, words):
    write_old_record(artifacts["int8"])
    change_record(artifacts["int8"], **changes)
    assert_refused(tfeff(capfd, "demo", artifacts["int8"], "--out", tmp_path / "app.apk"), *words)
    assert not list(tmp_path.glob("*app.apk*"))


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("outputs", {"scale": 0.5}, ["output scale", "0.5"]),
        ("outputs", {"zero_point": 99}, ["output zero_point: the record says 99"]),
        ("inputs", {"shape": [1, 9, 9, 1]}, ["takes images of [9, 9, 1], its preprocessing gives [14, 14, 1]"]),
        ("tasks", {"labels": ["one", "two"]}, ["2 labels", "gives 10 values"]),
        ("tasks", {"outputs": ["boxes"]}, ["boxes"]),
        ("inputs", {"preprocessing": None}, ["no preprocessing"]),
    ],
    ids=["scale", "zero point", "size", "labels", "outputs", "preprocessing"],
)
def test_a_record_that_does_not_fit_is_refused(artifacts, tmp_path, capfd, part, changes, words):
    record = json.loads(artifacts["int8"].with_suffix(".json").read_text())
    change_record(artifacts["int8"], **{part: [{**record[part][0], **changes}]})
    assert_refused(tfeff(capfd, "demo", artifacts["int8"], "--out", tmp_path / "app.apk"), *words)
    assert not list(tmp_path.glob("*app.apk*"))


def test_what_cannot_be_done_is_refused_and_leaves_nothing(artifacts, tmp_path, capfd):
    int8, out = artifacts["int8"], tmp_path / "app.apk"
    assert_refused(tfeff(capfd, "demo", tmp_path / "no.tflite", "--out", out), "no such file")
    assert_refused(tfeff(capfd, "demo", int8, "--out", tmp_path / "app.zip"), ".apk")
    assert_refused(tfeff(capfd, "demo", int8, "--out", tmp_path / "none/app.apk"), "no such folder")
    assert_refused(tfeff(capfd, "demo", int8, int8, "--out", out), "two models of one name")
    assert_refused(tfeff(capfd, "demo", int8, "--out", out, "--image", int8), "not an image")
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n")
    assert_refused(tfeff(capfd, "demo", int8, "--out", out, "--key", bad), "bad.pem", "RSA")
    odd = tmp_path / "two words.tflite"
    shutil.copy(int8, odd)
    write_test_record(odd)
    assert_refused(tfeff(capfd, "demo", odd, "--out", out), "letters, digits")
    int8.with_suffix(".json").unlink()
    assert_refused(tfeff(capfd, "demo", int8, "--out", out), "has no record")
    assert not list(tmp_path.glob("*app*"))


def test_a_file_that_is_there_stays_without_force(artifacts, tmp_path, capfd):
    out = tmp_path / "app.apk"
    out.write_bytes(b"mine")
    assert_refused(tfeff(capfd, "demo", artifacts["int8"], "--out", out), "exists", "--force")
    assert out.read_bytes() == b"mine"
    assert tfeff(capfd, "demo", artifacts["int8"], "--out", out, "--force").code == 0
    assert zipfile.is_zipfile(out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_key_that_cannot_be_written_is_said(app_artifacts, tmp_path, capfd):
    (tmp_path / "config").mkdir(mode=0o500)
    assert_refused(tfeff(capfd, "demo", app_artifacts["int8"], "--out", tmp_path / "a.apk"), "demo-key.pem", "--key")
