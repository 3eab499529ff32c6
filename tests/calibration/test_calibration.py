"""Calibration: what is read, from where, and what is refused. Each refusal names the mend."""

import sys

import numpy as np
import pytest
from PIL import Image

from tfeff.calibration import collect
from tfeff.data import Preprocessing, image_port, open_dataset
from tfeff.errors import TfeffError

PREPROCESSING = Preprocessing(size=(16, 16))
PORTS = [image_port(PREPROCESSING)]
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (40, 20, 24, 3), dtype=np.uint8)


def gather(spec, tmp_path, **options):
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return collect(str(spec), PORTS, tmp_path / "scratch", **options)


def inputs(calibration):
    return calibration.batch()["image"]


def refused(spec, tmp_path, *words, **options):
    with pytest.raises(TfeffError) as caught:
        gather(spec, tmp_path, **options)
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


def test_flat_folder(folder, tmp_path):
    calibration = gather(folder, tmp_path)
    assert (calibration.asked, calibration.found, calibration.used) == (None, 40, 40)
    expected = np.stack([PREPROCESSING(image) for image in IMAGES])
    np.testing.assert_array_equal(inputs(calibration), expected)
    np.testing.assert_array_equal(calibration.batch(3)["image"], expected[:3])
    np.testing.assert_array_equal(calibration.batch([7, 2])["image"], expected[[7, 2]])
    assert calibration.findings == ()
    assert calibration.record().source == str(folder)


def test_a_subset_is_seeded(folder, tmp_path):
    first = inputs(gather(folder, tmp_path, samples=10, seed=1))
    again = inputs(gather(folder, tmp_path, samples=10, seed=1))
    other = inputs(gather(folder, tmp_path, samples=10, seed=2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_named_dataset_gives_training_images(tmp_path):
    calibration = gather("fashion_mnist_sample", tmp_path)
    sample = open_dataset("fashion_mnist_sample", "train")
    assert calibration.used == calibration.found == len(sample) == 512
    np.testing.assert_array_equal(inputs(calibration)[7], PREPROCESSING(sample.image(7)))


def test_npz_of_images_and_of_inputs(tmp_path):
    np.savez(tmp_path / "u8.npz", images=IMAGES)
    expected = np.stack([PREPROCESSING(image) for image in IMAGES])
    np.savez(tmp_path / "f32.npz", images=expected)
    np.testing.assert_array_equal(inputs(gather(tmp_path / "u8.npz", tmp_path)), expected)
    np.testing.assert_array_equal(inputs(gather(tmp_path / "f32.npz", tmp_path)), expected)


def test_files_left_out_are_a_finding(folder, tmp_path):
    (folder / "41.heic").write_bytes(b"")
    (folder / "Thumbs.db").write_bytes(b"")
    calibration = gather(folder, tmp_path)
    (found,) = calibration.findings
    assert (found.code, found.severity) == ("source-files", "note")
    assert found.text.endswith("1 file left out, not read as images: 1 .heic")


def test_a_csv(folder, tmp_path):
    (folder / "set.csv").write_text("path,label\n" + "".join(f"{n:02d}.png,{n % 4}\n" for n in range(40)))
    calibration = gather(folder / "set.csv", tmp_path)
    assert list(calibration.labels) == [n % 4 for n in range(40)]
    np.testing.assert_array_equal(inputs(calibration)[5], PREPROCESSING(IMAGES[5]))


def test_a_disk_without_room(folder, tmp_path, monkeypatch):
    from shutil import _ntuple_diskusage

    monkeypatch.setattr("tfeff.data.space.shutil.disk_usage", lambda place: _ntuple_diskusage(100, 50, 50))
    refused(folder, tmp_path, f"{tmp_path}: 40 calibration images need about 1 MiB of disk, 0 MiB are free")


def test_duplicates_and_few_images_are_findings(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.concatenate([IMAGES[:10], IMAGES[:5]]))
    calibration = gather(tmp_path / "d.npz", tmp_path)
    few, duplicates = calibration.findings
    assert (few.code, few.severity) == ("few-images", "note")
    assert (duplicates.code, duplicates.severity) == ("duplicates", "note")
    assert duplicates.text == "5 of 15 images are duplicates"
    assert duplicates.images == [f"train image {number}" for number in range(10, 15)]


def test_mostly_duplicates_are_grave(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.concatenate([IMAGES[:10]] * 4))
    (finding,) = gather(tmp_path / "d.npz", tmp_path).findings
    assert (finding.code, finding.severity) == ("duplicates", "grave")


def test_inputs_read_one_at_a_time_are_those_of_the_file(folder, tmp_path):
    calibration = gather(folder, tmp_path)
    np.testing.assert_array_equal(np.stack([feed["image"] for feed in calibration.feeds()]), inputs(calibration))
    some = [feed["image"] for feed in calibration.feeds([30, 4])]
    np.testing.assert_array_equal(some, inputs(calibration)[[30, 4]])
    np.testing.assert_array_equal(np.stack(list(calibration.values("image"))), inputs(calibration))


def test_labels_come_with_class_folders(tmp_path):
    for number, image in enumerate(IMAGES[:6]):
        place = tmp_path / "classes" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    calibration = gather(tmp_path / "classes", tmp_path)
    assert calibration.classes == ("class0", "class1")
    assert calibration.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_flat_folder_has_no_labels(folder, tmp_path):
    calibration = gather(folder, tmp_path)
    assert calibration.labels is None
    assert calibration.classes == ()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of calibration functions into the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_images.py").write_text(
        "import numpy as np\n"
        "def image(n): return np.random.default_rng(n).integers(0, 256, (9, 9, 3), dtype=np.uint8)\n"
        "def some(): return (image(n) for n in range(20))\n"
        "def endless():\n    n = 0\n    while True:\n        n += 1\n        yield image(n)\n"
        "def none(): return []\n"
        "def breaks():\n    yield image(0)\n    raise RuntimeError('disk gone')\n"
        "def fails(): raise RuntimeError('no camera')\n"
        "def shape(): yield np.zeros((4, 4, 3), np.float32)\n"
        "def ints(): yield np.zeros((16, 16, 3), np.int32)\n"
        "not_a_function = 3\n"
        "def sleeps():\n    import time\n    yield image(0)\n    time.sleep(60)\n"
    )
    yield "my_images"
    sys.modules.pop("my_images", None)


def test_function_source(module, tmp_path):
    calibration = gather("my_images:some", tmp_path)
    assert (calibration.found, calibration.used) == (None, 20)


def test_function_that_never_ends_is_read_as_far_as_asked(module, tmp_path):
    assert gather("my_images:endless", tmp_path, samples=33).used == 33
    assert gather("my_images:endless", tmp_path).used == 512


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("none", ["no images"]),
        ("breaks", ["image 1", "disk gone"]),
        ("fails", ["no camera"]),
        ("shape", ["(4, 4, 3)", "(16, 16, 3)", "uint8"]),
        ("ints", ["int32", "uint8"]),
        ("missing", ["missing", "module:function"]),
        ("not_a_function", ["failed"]),
    ],
)
def test_function_source_refused(module, tmp_path, function, words):
    refused(f"{module}:{function}", tmp_path, *words)


def test_function_that_waits_forever(module, tmp_path, monkeypatch):
    monkeypatch.setattr("tfeff.calibration.sources.PATIENCE_S", 0.2)
    refused("my_images:sleeps", tmp_path, "no image 1 within 0.2 s", "ever yields")


def test_function_that_gives_too_few(module, tmp_path):
    refused("my_images:some", tmp_path, "20 images", "30 were asked", "--samples 20", samples=30)


def test_missing_module(tmp_path):
    refused("no_such_module:images", tmp_path, "no_such_module", "module:function")


def test_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path, "no images", "PNG")


def test_corrupt_image_is_named(folder, tmp_path):
    (folder / "17.png").write_bytes((folder / "17.png").read_bytes()[:200])
    refused(folder, tmp_path, "17.png", "replace or remove")


def test_sixteen_bit_image_is_named(folder, tmp_path):
    Image.fromarray(RNG.integers(0, 2**16, (9, 9), dtype=np.uint16)).save(folder / "deep.png")
    refused(folder, tmp_path, "deep.png", "8-bit")


def test_fewer_than_asked(folder, tmp_path):
    refused(folder, tmp_path, "40 images", "100 were asked", "--samples 40", samples=100)


@pytest.mark.parametrize("samples", [0, -3])
def test_samples_must_be_positive(folder, tmp_path, samples):
    refused(folder, tmp_path, "at least 1", samples=samples)


def test_nan(tmp_path):
    spoilt = np.stack([PREPROCESSING(image) for image in IMAGES])
    spoilt[11, 2, 3, 0] = np.nan
    np.savez(tmp_path / "nan.npz", images=spoilt)
    refused(tmp_path / "nan.npz", tmp_path, "image 11", "NaN")


def test_identical_images(tmp_path):
    np.savez(tmp_path / "same.npz", images=np.repeat(IMAGES[:1], 30, 0))
    refused(tmp_path / "same.npz", tmp_path, "all 30 images are the same", "different")


def test_not_found(tmp_path):
    refused(tmp_path / "nowhere", tmp_path, "not found")
