"""The files of the page: what is in them, what is refused, and that nothing half-written stays."""

import gzip
import json
import re

import numpy as np
import pytest
from PIL import Image
from web_models import LABELS, PREPROCESSING

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.web import page_assets, site, write_page

pytest_plugins = ["web_models"]


def error_of(*files, **options):
    with pytest.raises(TfeffError) as caught:
        site(files, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("schema", [1, 2])
def test_the_list_says_what_the_record_says(make_artifact, schema):
    path = make_artifact(schema=schema)
    add_accuracy(path, schema)
    assets = site([path, path.with_suffix(".json")])  # the same artifact, twice
    (model,) = json.loads(assets["models.json"].plain)["models"]
    assert model["name"] == "small"
    (image,) = model["inputs"]
    assert (image["name"], image["shape"]) == ("image", [1, *PREPROCESSING.shape])
    assert image["preprocessing"] == PREPROCESSING.as_dict()
    assert [(port["name"], port["shape"]) for port in model["outputs"]] == [("logits", [1, len(LABELS)])]
    decode = {"kind": "classes"} | ({"scores": "logits"} if schema == 2 else {})  # it was not said of users' models
    assert model["tasks"] == [
        {"name": "classification", "outputs": ["logits"], "labels": list(LABELS), "decode": decode}
    ]
    (accuracy,) = model["accuracy"]
    assert (accuracy["metric"], accuracy["unit"], accuracy["task"]) == ("top-1", "%", "classification")
    assert (accuracy["float"], accuracy["quantized"], accuracy["samples"]) == (90.0, 89.0, 7)
    assert "groups" not in accuracy  # tables stay in the record
    assert [file["precision"] for file in model["files"]] == ["float32", "int8"]
    for file, there in zip(model["files"], (path.with_name("small.twin.tflite"), path), strict=True):
        assert file["sha256"] == check_tflite(there)
        assert assets[file["url"]].plain == there.read_bytes()


def add_accuracy(path, schema):
    """In the words of its time."""
    record = json.loads(path.with_suffix(".json").read_text())
    shared = {
        "samples": 7, "delta": -1.0, "ci95": [-2.0, 0.0], "dataset": "some", "quantized_sha256": record["sha256"],
        "float_sha256": record["float_twin"]["sha256"],
    }  # fmt: skip
    if schema == 1:
        record["accuracy"] = {"float_top1": 90.0, "quantized_top1": 89.0, **shared}
    else:
        record["accuracy"] = [{
            "task": "classification", "outputs": ["logits"], "metric": "top-1", "unit": "%",
            "higher_is_better": True, "float": 90.0, "quantized": 89.0, **shared,
        }]  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(record))


def test_names_of_the_user_are_in_no_address(make_artifact):
    path = make_artifact("a <b>&'\"")
    assets = site([path])
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", address) for address in assets)
    for address, asset in assets.items():
        if not address.endswith((".json", ".tflite", ".wasm")):
            assert b"<b>&" not in asset.plain, address


def test_the_service_worker_changes_with_any_file(make_artifact):
    path = make_artifact()
    one = site([path])["sw.js"].data
    assert site([path])["sw.js"].data == one
    record = json.loads(path.with_suffix(".json").read_text())
    record["tasks"][0]["labels"][0] = "another"
    path.with_suffix(".json").write_text(json.dumps(record))
    assert site([path])["sw.js"].data != one


def test_the_service_worker_is_told_of_files_that_are_there(make_artifact):
    assets = site([make_artifact(dataset="fashion_mnist")], collect=True)
    listed = json.loads(assets["models.json"].plain)
    assert set(listed["assets"]) <= set(assets)
    assert {"index.html", "app.js", "engine.js", "style.css", "models.json"} <= set(listed["assets"])
    assert len(listed["samples"]) == 10
    assert not [address for address in listed["assets"] if address.startswith(("litert-", "probes/"))]


def test_the_built_page_ships_three_builds_and_their_licence():
    assets = page_assets()
    builds = sorted(address for address in assets if address.endswith(".wasm"))
    kinds = [re.fullmatch(r"litert-[\d.]+/litert_wasm(_\w+)?_internal\.wasm", one).group(1) for one in builds]
    assert kinds == ["_compat", None, "_threaded"]
    for address in builds:
        assert assets[address].plain.startswith(b"\0asm")
        assert address.removesuffix("wasm") + "js" in assets
    assert "Apache-2.0" in assets["NOTICE.txt"].plain.decode()
    assert sum(len(asset.data) for asset in assets.values()) < 10_000_000


def test_samples_of_a_folder(make_artifact, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "<i>one.png")
    assets = site([make_artifact()], samples=folder)
    (sample,) = json.loads(assets["models.json"].plain)["samples"]
    assert sample["name"] == "<i>one"
    (tmp_path / "again.png").write_bytes(assets[sample["url"]].plain)
    assert (np.asarray(Image.open(tmp_path / "again.png")) == pixels).all()

    assert "no such folder" in error_of(make_artifact(), samples=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no image" in error_of(make_artifact(), samples=tmp_path / "empty")


def test_what_a_browser_cannot_run_is_refused(make_artifact, tmp_path):
    for schema in (1, 2):
        message = error_of(make_artifact(f"door{schema}", schema=schema, doors="int8"))
        assert "its input image is int8" in message
        assert "--target web" in message
    bare = make_artifact("bare")
    bare.with_suffix(".json").unlink()
    assert "no record" in error_of(bare)
    assert "no preprocessing for image [1, 24, 20, 3]" in error_of(make_artifact("none", schema=1, preprocessing=None))
    other = {"name": "image", "shape": [1, 8, 8, 3], "dtype": "float32"}
    assert "its preprocessing gives [24, 20, 3]" in error_of(make_artifact("other", schema=1, input=other))
    flat = {"name": "spectrum", "shape": [1, 9], "dtype": "float32"}
    message = error_of(make_artifact("flat", inputs=[flat]))
    assert "no preprocessing for spectrum [1, 9]" in message
    assert "the page runs models that take one image" in message
    message = error_of(make_artifact("two", inputs=[{**other, "preprocessing": PREPROCESSING.as_dict()}, flat]))
    assert "has 2 inputs (image, spectrum); the page runs models that take one image" in message
    assert "names no inputs" in error_of(make_artifact("nothing", inputs=[]))
    assert "no artifact" in error_of()


def test_tasks_are_checked_before_a_browser_sees_them(make_artifact):
    task = {"name": "classification", "outputs": ["logits"]}
    assert "2 labels, the output logits gives 5 values" in error_of(
        make_artifact("few", tasks=[{**task, "labels": ["a", "b"]}])
    )
    assert "kind 'ranking'" in error_of(make_artifact("kind", tasks=[{**task, "decode": {"kind": "ranking"}}]))
    assert "unknown task 'dreaming'" in error_of(make_artifact("dream", tasks=[{**task, "name": "dreaming"}]))


def test_outputs_that_nobody_described_are_numbers(make_artifact):
    heads = (("age", 1), ("features", 12))
    (model,) = json.loads(site([make_artifact(heads=heads)])["models.json"].plain)["models"]
    assert [(port["name"], port["shape"]) for port in model["outputs"]] == [("age", [1, 1]), ("features", [1, 12])]
    assert [(task["name"], task["outputs"]) for task in model["tasks"]] == [("tensors", ["age", "features"])]


def test_records_that_do_not_belong_are_refused(make_artifact):
    assert "schema version 99" in error_of(make_artifact("newer", schema_version=99))
    assert "is not the file that" in error_of(make_artifact("tampered", sha256="0" * 64))
    cut = make_artifact("cut")
    cut.write_bytes(cut.read_bytes()[:2000])
    assert "cut short" in error_of(cut)
    alone = make_artifact("alone")
    alone.with_name("alone.twin.tflite").unlink()
    assert "alone.twin.tflite is missing" in error_of(alone)
    gone = make_artifact("gone")
    gone.unlink()
    assert "no such file" in error_of(gone.with_suffix(".json"))


def test_a_page_in_a_folder_holds_plain_files(make_artifact, tmp_path):
    folder = tmp_path / "page"
    written = write_page([make_artifact()], folder)
    assert files_in(folder) == {path.relative_to(folder).as_posix() for path in written}
    assert files_in(folder) == set(site([make_artifact()]))
    for path in written:
        data = path.read_bytes()
        assert not data.startswith(b"\x1f\x8b"), path  # a static server would send it as it is
        if path.suffix == ".wasm":
            assert data.startswith(b"\0asm")


def test_a_folder_is_replaced_only_when_told_and_only_when_it_is_a_page(make_artifact, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()  # an empty one may be there
    write_page([make_artifact()], folder)
    before = (folder / "models.json").read_bytes()
    with pytest.raises(TfeffError, match="--force"):
        write_page([make_artifact("second")], folder)
    assert (folder / "models.json").read_bytes() == before
    write_page([make_artifact("second")], folder, force=True)
    assert b"second" in (folder / "models.json").read_bytes()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(TfeffError, match="other things"):
        write_page([make_artifact()], mine, force=True)
    with pytest.raises(TfeffError, match="other things"):
        write_page([make_artifact()], mine / "thesis.txt", force=True)
    assert files_in(mine) == {"thesis.txt"}


def test_nothing_half_written_stays(make_artifact, tmp_path, monkeypatch):
    from pathlib import Path

    path, real = make_artifact(), Path.write_bytes

    def full(self, data):
        if self.suffix == ".wasm":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    before = {entry.name for entry in tmp_path.iterdir()}
    with pytest.raises(TfeffError, match="No space left"):
        write_page([path], tmp_path / "page")
    assert {entry.name for entry in tmp_path.iterdir()} == before


def test_packed_files_are_gzip():
    packed = [asset for asset in page_assets().values() if asset.packed]
    assert packed
    assert all(gzip.decompress(asset.data) == asset.plain for asset in packed)
