"""`tfeff export --with-nms`: a detector's file that ends in boxes, in both runtimes and in every command."""

import json
import subprocess
import zipfile
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from detector_files import LABELS, MEAN, SIZE, SPEC, SSD_SPEC, STD, keras_detector, keras_ssd, write_coco
from PIL import Image
from read_metadata import read_metadata

from tfeff.artifact import read_record
from tfeff.compare import Runner
from tfeff.tasks.detection_decode import decode
from tfeff.tasks.detection_spec import read_spec
from tfeff.tflite.file import TfliteFile
from tfeff.tflite.graph import read_graph

IMAGES = np.random.default_rng(1).standard_normal((6, *SIZE, 3)).astype(np.float32)

UNHEARD = SimpleNamespace(readouterr=lambda: SimpleNamespace(out="", err=""))  # where pytest has no capfd: a fixture

pytest_plugins = ["bench_models"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nms")
    keras_ssd().save(folder / "ssd.keras")
    keras_detector().save(folder / "points.keras")
    write_coco(folder / "images", 20)
    for name, spec in (("ssd", SSD_SPEC), ("points", SPEC)):
        (folder / f"{name}.json").write_text(json.dumps({**spec, "labels": LABELS}))
    return folder


def export(capfd, folder, name, *more, out="out"):
    return tfeff(
        capfd, "export", folder / f"{name}.keras", "--int8", "--task", f"detection:{folder / f'{name}.json'}",
        "--calibration", folder / "images", "--mean", MEAN, "--std", STD, "--out", folder / out, "--no-bench",
        "--allow-audit", "--calibration-method", "minmax", "--force", "--io", "uint8", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(folder):
    """The file with and without."""
    for out, more in (("heads", ()), ("boxes", ("--with-nms", "--metadata", "--dataset", folder / "images"))):
        ran = export(UNHEARD, folder, "ssd", *more, out=out)
        assert ran.code == 0, ran.err
    return {out: folder / out / "ssd.int8.uint8-io.tflite" for out in ("heads", "boxes")}


def test_boxes_are_those_of_the_heads(files):
    heads, boxes = (Runner(path) for path in files.values())
    specs = [read_spec({**read_record(path.with_suffix(".json")).tasks[0].decode, "clip": False})
             for path in files.values()]  # fmt: skip
    found = 0
    for image in IMAGES:
        ours, theirs = decode(heads(image), specs[0]), decode(boxes(image), specs[1])
        assert len(ours) == len(theirs)
        order = [np.lexsort((each.boxes[:, 0], each.boxes[:, 1], each.classes)) for each in (ours, theirs)]
        np.testing.assert_allclose(ours.boxes[order[0]], theirs.boxes[order[1]], atol=1e-3)
        np.testing.assert_allclose(ours.scores[order[0]], theirs.scores[order[1]], atol=1e-5)
        np.testing.assert_array_equal(ours.classes[order[0]], theirs.classes[order[1]])
        found += len(ours)
    assert found > 30


def test_the_body_is_the_same(files):
    heads, boxes = (TfliteFile(path.read_bytes()) for path in files.values())
    count = len(heads.tree.tensors)
    for number in range(count):
        assert heads.name(number) == boxes.name(number)
        assert heads.raw(number).tobytes() == boxes.raw(number).tobytes()
    assert [(op.name, op.inputs, op.outputs) for op in heads.operators] == [
        (op.name, op.inputs, op.outputs) for op in boxes.operators[: len(heads.operators)]
    ]
    tail = [op.name for op in boxes.operators[len(heads.operators) :]]
    assert tail.count("DEQUANTIZE") == 4
    assert "MINIMUM" in tail  # boxes may be no larger than e^0.3 times their anchor
    assert tail[-1] == "CUSTOM TFLite_Detection_PostProcess"
    assert all(not op.is_float for op in read_graph(files["boxes"]).operations[: len(heads.operators)])


def test_metadata_can_be_read(files):
    with zipfile.ZipFile(files["boxes"]) as archive:
        assert archive.read("labels.txt").decode().split("\n") == [*LABELS, ""]
    model = read_metadata(files["boxes"].read_bytes())
    (graph,) = model["subgraph_metadata"]
    (image,) = graph["input_tensor_metadata"]
    assert image["content"]["content_properties"] == ("ImageProperties", {"color_space": 1})
    ((kind, normalization),) = [each["options"] for each in image["process_units"]]
    assert (kind, normalization["mean"], normalization["std"]) == ("NormalizationOptions", [128.0] * 3, [24.0] * 3)
    names = ["location", "category", "score", "number of detections"]
    outputs = graph["output_tensor_metadata"]
    assert [each["name"] for each in outputs] == names
    kind, boxes = outputs[0]["content"]["content_properties"]
    assert (kind, boxes) == ("BoundingBoxProperties", {"index": [1, 0, 3, 2], "type": 1})
    assert all(each["content"]["range"] == {"min": 2, "max": 2} for each in outputs[:3])
    assert outputs[1]["associated_files"] == [
        {"name": "labels.txt", "description": "Labels for categories that the model can recognize.", "type": 3}
    ]
    assert graph["output_tensor_groups"] == [{"name": "detection_result", "tensor_names": names[:3]}]


def test_mediapipe_finds_the_same(files, folder):
    """Where it is installed: its own reader of metadata, its own preprocessing and runtime."""
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ObjectDetectorOptions(BaseOptions(model_asset_path=str(files["boxes"])), score_threshold=0.3)
    detector, runner = vision.ObjectDetector.create_from_options(options), Runner(files["boxes"])
    spec, found = read_spec(read_record(files["boxes"].with_suffix(".json")).tasks[0].decode), 0
    for path in sorted((folder / "images").glob("*.png"))[:4]:
        image = np.asarray(Image.open(path))
        ours = decode(runner((image.astype(np.float32) - 128) / 24), msgspec.structs.replace(spec, clip=False))
        theirs = detector.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)).detections
        assert len(theirs) == (ours.scores >= 0.3).sum()
        for one, box, kind, score in zip(theirs, ours.boxes, ours.classes, ours.scores, strict=False):
            (category,) = one.categories
            assert (category.category_name, category.score) == (LABELS[kind], pytest.approx(score, abs=1e-5))
            place = one.bounding_box
            corner, size = np.maximum(box[:2], 0), box[2:] - box[:2]  # it cuts off the corner and leaves the size
            np.testing.assert_allclose([place.origin_x, place.origin_y], corner, atol=1.01)  # whole pixels
            np.testing.assert_allclose([place.width, place.height], size, atol=1.01)
            found += 1
    assert found > 10


def test_tflite_runtime_gives_the_same(files, tflite_runtime_python):
    code = (
        "import sys, numpy as np; from tflite_runtime.interpreter import Interpreter as I\n"
        "i = I(sys.argv[1]); i.allocate_tensors(); d = i.get_input_details()[0]; s, z = d['quantization']\n"
        "x = np.load(sys.argv[2]); found = []\n"
        "for each in x:\n"
        "    i.set_tensor(d['index'], np.clip(np.round(each[None] / s) + z, 0, 255).astype(np.uint8)); i.invoke()\n"
        "    found.append(i.get_tensor(i.get_output_details()[0]['index']))\n"
        "np.save(sys.argv[3], np.concatenate(found))\n"
    )
    folder = files["boxes"].parent
    np.save(folder / "in.npy", IMAGES)
    subprocess.run(
        [tflite_runtime_python, "-c", code, files["boxes"], folder / "in.npy", folder / "got.npy"],
        check=True,
        timeout=60,
    )
    runner = Runner(files["boxes"])
    ours = np.stack([runner(image)["boxes"] for image in IMAGES])
    theirs = np.load(folder / "got.npy").reshape(ours.shape)
    same = np.isclose(ours, theirs, atol=1e-4).all(axis=-1).mean()
    assert same > 0.95  # int8 kernels of two ages round a head otherwise now and then


def test_every_command_reads_it(files, folder, capfd):
    path = files["boxes"]
    record = read_record(path.with_suffix(".json"))
    assert [port.name for port in record.outputs] == ["boxes", "classes", "scores", "count"]
    assert {port.dtype for port in record.outputs} == {"float32"}
    assert record.tasks[0].decode["listed"]["boxes"] == "boxes"
    assert {port.name for port in record.ports} == set(read_spec(SSD_SPEC).outputs)
    assert any("boxes are those of its heads" in note for note in record.notes)
    assert "CUSTOM TFLite_Detection_PostProcess" in record.ops.by_name
    (entry,) = record.accuracy
    ran = tfeff(capfd, "compare", path, "--dataset", folder / "images", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"][0]["quantized"] == entry.quantized
    for target in ("litert", "tflite-runtime"):
        ran = tfeff(capfd, "check", path, "--target", target)
        assert ran.code == 0, ran.err
    ran = tfeff(capfd, "bench", path, "--max-seconds", 0.1)
    assert ran.code == 0, ran.err
    ran = tfeff(capfd, "report", path.with_suffix(".json"), "--format", "md")
    assert ran.code == 0, ran.err
    assert "detection (anchors) of boxes, classes, scores, count" in ran.out
    ran = tfeff(capfd, "debug", path, "--images", folder / "images", "--samples", 4)
    assert ran.code in (0, 2), ran.err
    assert "Traceback" not in ran.err


def test_refused(folder, capfd):
    assert_refused(export(capfd, folder, "points", "--with-nms"), "these boxes are distances from points")
    assert_refused(export(capfd, folder, "ssd", "--metadata"), "does not read a detector's maps", "--with-nms")
    assert_refused(export(capfd, folder, "ssd", "--metadata", "--with-nms", "--io", "int8"), "this file takes int8")
    for target, why in (("edgetpu", "takes no float operation"), ("ethos-u", "Vela"), ("web", "was not seen to run")):
        assert_refused(export(capfd, folder, "ssd", "--with-nms", "--target", target), f"--with-nms: {target} ", why)
