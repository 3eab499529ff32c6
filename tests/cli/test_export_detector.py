"""A detector of the user's own from the Keras file to every command that reads the artifact."""

import json

import pytest
from cli_runner import assert_refused, tfeff
from detector_files import LABELS, MEAN, SPEC, SSD_SPEC, STD, keras_detector, keras_ssd, write_coco

from tfeff.artifact import read_record
from tfeff.tasks.detection_spec import read_spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    keras_detector().save(folder / "det.keras")
    write_coco(folder / "images", 30)
    write_coco(folder / "others", 30, seed=5)
    (folder / "heads.json").write_text(json.dumps({**SPEC, "labels": LABELS}))
    return folder


def exported(capfd, folder, *more):
    return tfeff(
        capfd, "export", folder / "det.keras", "--int8", "--task", f"detection:{folder / 'heads.json'}",
        "--calibration", folder / "others", "--mean", MEAN, "--std", STD, "--resize", "fit",
        "--out", folder / "out", "--force", *more,
    )  # fmt: skip


def test_from_export_to_report(folder, capfd):
    ran = exported(capfd, folder, "--dataset", folder / "images", "--max-drop", "0.5", "--calibration-method", "minmax")
    assert ran.code == 0, ran.err
    path = folder / "out" / "det.int8.tflite"
    record = read_record(path.with_suffix(".json"))
    (task,) = record.tasks
    assert (task.name, task.outputs, task.labels) == ("detection", read_spec(SPEC).outputs, LABELS)
    assert read_spec(task.decode) == read_spec(SPEC)
    assert record.inputs[0].preprocessing.resize.mode == "fit"
    (entry,) = record.accuracy
    assert (entry.metric, entry.unit) == ("mAP", "%")
    assert entry.float_value > 5
    assert entry.ci95[0] <= entry.delta <= entry.ci95[1]
    assert {port.same_answers for port in record.ports if port.reference == "model"} == {1.0}

    ran = tfeff(capfd, "compare", path, "--dataset", folder / "images" / "annotations.json", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"][0]["samples"] == 30
    page = tfeff(capfd, "report", path.with_suffix(".json"), "--format", "md")
    assert page.code == 0, page.err
    for words in ("| float mAP |", "| AP50 |", "detections that changed", "task | detection (distances) of boxes_6"):
        assert words in page.out
    ran = tfeff(capfd, "debug", path, "--images", folder / "others", "--samples", 8, "--json")
    assert ran.code == 0, ran.err
    ran = tfeff(capfd, "check", path, "--target", "edgetpu")
    assert ran.code == 0, ran.err
    changed = json.loads(path.with_suffix(".json").read_text())
    changed["tasks"][0]["decode"]["bins"] = 5
    path.with_suffix(".json").write_text(json.dumps(changed))
    assert_refused(tfeff(capfd, "compare", path, "--dataset", folder / "images"), "output boxes_6 has shape")


def test_training_with_int8_in_the_loop_ends_in_map(folder, capfd):
    """Its float twin teaches the raw heads; epochs are told by mAP, and so is what may be lost."""
    keras_ssd().save(folder / "ssd.keras")
    (folder / "ssd.json").write_text(json.dumps({**SSD_SPEC, "labels": LABELS}))
    ran = tfeff(
        capfd, "qat", folder / "ssd.keras", "--task", f"detection:{folder / 'ssd.json'}", "--dataset",
        folder / "images", "--mean", MEAN, "--std", STD, "--epochs", 1, "--steps", 1, "--batch-size", 8, "--no-augment",
        "--samples", 8, "--calibration-method", "minmax", "--allow-audit", "--out", folder / "qat", "--no-bench",
        "--max-drop", "0.5", "--json", "--force",
    )  # fmt: skip
    (entry,) = ran.json["accuracy"]
    assert ran.code == (entry["delta"] < -0.5), ran.err  # worse by more than half a point of mAP: a missed gate
    assert (entry["metric"], ran.json["gates"]["max_drop"]) == ("mAP", 0.5)
    training = ran.json["quantization"]["training"]
    assert training["engine"] == "tfeff"
    assert [set(row["held_out"]) for row in training["history"]] == [{"mAP"}] * 2
    assert 0 <= training["held_out_float"]["mAP"] <= 100
    assert training["history"][0]["held_out_loss"] < 0.1  # of the heads' energy: what the roundings of int8 cost
    assert ran.json["ops"]["float"] == []


def test_refused_before_anything_is_done(folder, capfd):
    assert_refused(exported(capfd, folder, "--dataset", "fashion_mnist_sample"), "has no boxes, so there is no mAP")
    assert_refused(exported(capfd, folder, "--dataset", "fashion_scenes_sample"), "has 10 classes, the network has 2")
    broken = folder / "broken"
    write_coco(broken, 3)
    text = (broken / "annotations.json").read_text().replace('"category_id": 1', '"category_id": 9', 1)
    (broken / "annotations.json").write_text(text)
    assert_refused(exported(capfd, folder, "--dataset", broken), "unknown class, there is no category 9")


def test_a_classifier_cannot_be_trained_on_boxes(folder, capfd):
    for dataset in (folder / "others", "fashion_scenes_sample"):
        ran = tfeff(capfd, "train", "pp_lcnet_025", "--dataset", dataset, "--epochs", 1, "--out", folder / "trained")
        assert_refused(ran, "says objects", "no class of each")
