"""Presets: written, read back, and refused when something about them is not right. The bundled ones keep their word."""

import hashlib
import json
import shutil

import numpy as np
import pytest

import tfeff
from tfeff import TfeffError, create, load_preset
from tfeff.cli.model import own_dataset
from tfeff.data import Preprocessing, Subset, image_port, open_dataset
from tfeff.networks import get_network
from tfeff.presets import BUNDLED, SCHEMA_VERSION, Preset, aliases, list_presets
from tfeff.training.detection import TRAINING
from tfeff.weights import save_weights

NAME = "vargnet_v1_025_g8.toy"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with an untrained preset, and the network it was written from."""
    folder = tmp_path_factory.mktemp("preset")
    arguments = {"input_shape": (32, 32, 3), "classes": 3, "small_image": True}
    model = create("vargnet_v1_025_g8", **arguments)
    weights = folder / f"{NAME}.weights.npz"
    save_weights(model, weights)
    preset = Preset(
        NAME, "vargnet_v1_025_g8", arguments, Preprocessing(size=(32, 32)), ("a", "b", "c"), "toy.npz", weights,
        {"float_top1": 33.3},
    )  # fmt: skip
    preset.write(folder / f"{NAME}.json")
    return folder, model


@pytest.fixture
def folder(written, tmp_path):
    """A copy that a test may damage."""
    shutil.copytree(written[0], tmp_path / "preset")
    return tmp_path / "preset"


def change(folder, **entries):
    path = folder / f"{NAME}.json"
    value = json.loads(path.read_text())
    value.update(entries)
    path.write_text(json.dumps(value))


def refusal(path):
    with pytest.raises(TfeffError) as raised:
        load_preset(path)
    assert "\n" not in raised.value.what
    assert raised.value.exit_code == 2
    return raised.value


def test_write_and_read(written):
    folder, model = written
    preset = load_preset(folder / f"{NAME}.json")
    assert (preset.name, preset.network, preset.dataset) == (NAME, "vargnet_v1_025_g8", "toy.npz")
    assert preset.labels == ("a", "b", "c")
    assert preset.preprocessing == Preprocessing(size=(32, 32))
    assert preset.training == {"float_top1": 33.3}
    built = preset.build()
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(built(x, training=False), model(x, training=False))
    assert {path.name for path in folder.iterdir()} == {f"{NAME}.json", f"{NAME}.weights.npz"}


def test_read_by_a_string_and_through_the_front_door(written):
    path = str(written[0] / f"{NAME}.json")
    assert tfeff.load_preset(path) == load_preset(path)


def test_write_takes_further_entries(written, tmp_path):
    preset = load_preset(written[0] / f"{NAME}.json")
    preset.write(tmp_path / "a.json", aliases=["toy"])
    assert json.loads((tmp_path / "a.json").read_text())["aliases"] == ["toy"]


def test_write_where_one_cannot(written, tmp_path):
    preset = load_preset(written[0] / f"{NAME}.json")
    with pytest.raises(TfeffError, match="cannot be written"):
        preset.write(tmp_path / "missing" / "a.json")


def test_moved_folder_still_works(folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_preset(moved / f"{NAME}.json").weights == moved / f"{NAME}.weights.npz"


def test_missing_weights(folder):
    (folder / f"{NAME}.weights.npz").unlink()
    error = refusal(folder / f"{NAME}.json")
    assert f"{NAME}.weights.npz are missing" in error.what
    assert error.mend


def test_changed_weights(folder):
    path = folder / f"{NAME}.weights.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "sha256 differs" in refusal(folder / f"{NAME}.json").what


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '"preset"', "\xff\xfe binary", "[" * 100_000],
    ids=range(8),
)
def test_damaged_json(folder, text):
    path = folder / f"{NAME}.json"
    path.write_text(text, encoding="latin-1")
    error = refusal(path)
    assert str(path) in error.what
    assert "damaged" in error.what
    assert error.mend


@pytest.mark.parametrize(
    "entries",
    [
        {"labels": None},
        {"labels": ["a", "b"]},
        {"weights": {"file": f"{NAME}.weights.npz"}},
        {"weights": {"file": "../x.npz", "sha256": ""}},
        {"weights": {"file": None, "sha256": ""}},
        {"arguments": None},
        {"arguments": {"classes": 3}},
        {"arguments": {"classes": 3, "input_shape": [64, 64, 3]}},
        {"arguments": {"classes": 3, "input_shape": [32, 32, 3], "blocks": [{}]}},
        *({"preset": name} for name in ("../../x", "a/b", "/x", "..", "a\0b", "a\x1b[31m", "", 5, None)),
        *({key: value} for key in ("network", "dataset") for value in (5, ["x"], {"a": 1})),
        {"labels": 5},
        {"training": 5},
        *({"training": {"float_top1": value}} for value in (float("inf"), float("nan"))),
        {"calibration_method": 5},
        {"schema_version": 1, "extra": json.loads("[" * 100 + "]" * 100)},
    ],
    ids=lambda entries: ascii(entries)[:60],
)
def test_json_with_wrong_entries(folder, entries):
    change(folder, **entries)
    error = refusal(folder / f"{NAME}.json")
    assert "damaged" in error.what
    assert error.mend


def test_its_weights_are_taken_from_its_own_folder_only(folder):
    outside = folder.parent / "x.npz"
    shutil.copy(folder / f"{NAME}.weights.npz", outside)
    sha256 = hashlib.sha256(outside.read_bytes()).hexdigest()
    for file in ("../x.npz", str(outside), "a/../../x.npz"):
        change(folder, weights={"file": file, "sha256": sha256})
        assert "damaged" in refusal(folder / f"{NAME}.json").what


def test_its_data_are_taken_from_its_own_folder_only(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "images").mkdir()
    (folder / "out").symlink_to("/")
    path = str(folder / f"{NAME}.json")
    for dataset in ("/", "..", "/etc", "out", "a\0b", "x" * 5000):
        change(folder, dataset=dataset)
        assert own_dataset(path) is None
    for dataset in ("images", str(folder / "images"), "fashion_mnist_sample"):
        change(folder, dataset=dataset)
        assert own_dataset(path) == dataset


def test_wrong_preprocessing(folder):
    change(folder, preprocessing={"resize": "yes"})
    assert "preprocessing" in refusal(folder / f"{NAME}.json").what


def test_newer_schema(folder):
    change(folder, schema_version=SCHEMA_VERSION + 1)
    error = refusal(folder / f"{NAME}.json")
    assert f"schema version {SCHEMA_VERSION + 1}" in error.what
    assert "update tfeff" in error.mend


def test_network_that_is_gone(folder):
    change(folder, network="vargnet_v1_026_g8")
    with pytest.raises(TfeffError, match="unknown network"):
        load_preset(folder / f"{NAME}.json").build()


def test_missing_json(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.json").what


def test_unknown_name_gives_the_nearest():
    error = refusal("vargnet_v1_25_g8")
    assert "unknown preset 'vargnet_v1_25_g8'" in error.what
    assert "vargnet_v1_025_g8" in error.mend
    assert "tfeff list" in refusal("qqq").mend


# The bundled ones


def test_aliases_lead_to_bundled_presets():
    for alias, name in aliases().items():
        assert name in list_presets()
        assert alias not in list_presets()
        assert load_preset(alias) == load_preset(name)


def test_every_bundled_file_belongs_to_a_preset():
    files = {path.name for path in BUNDLED.glob("*") if not path.name.startswith((".", "_"))}
    expected = {path.name for path in list_presets().values()}
    expected |= {load_preset(name).weights.name for name in list_presets()}
    assert files == expected


@pytest.mark.parametrize("name", list_presets("classification"))
def test_bundled_preset_reaches_its_recorded_accuracy(name):
    preset = load_preset(name)
    assert preset.name == name == f"{preset.network}.{preset.dataset}"
    assert preset.weights.parent == BUNDLED
    model = preset.build()
    assert model.input_shape[1:] == preset.preprocessing.shape
    assert model.output_shape[1] == len(preset.labels)
    sample = open_dataset("fashion_mnist_sample", "test")
    assert preset.labels == sample.classes
    pixels = np.stack([preset.preprocessing.pixels(sample.image(n)) for n in range(len(sample))])
    logits = model.predict(preset.preprocessing.normalize(pixels), batch_size=256, verbose=0)
    top1 = 100 * float((logits.argmax(-1) == sample.labels).mean())
    assert top1 == pytest.approx(preset.training["float_top1"], abs=2.5)


@pytest.mark.parametrize("name", list_presets("detection"))
def test_bundled_detector_reaches_its_recorded_precision(name):
    """On a hundred scenes of bundled items, where AP50 of either detector is known within some eight points."""
    preset = load_preset(name)
    assert preset.name == name == f"{preset.network}.fashion_scenes"
    assert preset.training["samples"] == 2_000
    model = preset.build()
    spec = get_network(preset.network).meaning(model, **preset.arguments)
    scenes = Subset(open_dataset("fashion_scenes_sample", "test"), np.arange(100))
    assert preset.labels == scenes.classes
    figures = TRAINING.judge(scenes, image_port(preset.preprocessing), spec)(model)
    assert figures["ap50"] == pytest.approx(preset.training["float_ap50"], abs=8)
    assert preset.training["float_ap50"] > 50
