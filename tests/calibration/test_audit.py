"""Every finding of the audit, planted."""

import io

import numpy as np
import pytest
from calibration_network import CLASSES, PREPROCESSING, audited, calibrated_file, collected, pictures
from PIL import Image
from scipy.stats import binomtest

from tfeff.calibration import Activations, observe, text_of
from tfeff.calibration.audit_activations import constant_channels
from tfeff.calibration.audit_inputs import channels, measure
from tfeff.calibration.audit_network import coin_p
from tfeff.data import Preprocessing
from tfeff.record.schema import Finding

IMAGES, LABELS = pictures(120)
INPUTS = np.stack([PREPROCESSING(image) for image in IMAGES])


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


@pytest.fixture
def audit(network, tmp_path):
    return lambda **arrays: audited(network, tmp_path, **arrays)[0]


def test_good_images_have_no_finding_but_the_dead_channel(audit):
    found = audit(images=IMAGES, labels=LABELS, classes=CLASSES)
    assert found.keys() == {"constant-channels"}
    assert "first 1 of 8" in found["constant-channels"].text
    assert found["constant-channels"].severity == "note"


def test_few(audit):
    assert audit(images=IMAGES[:12])["few-images"].severity == "note"


def test_duplicates(audit):
    found = audit(images=np.concatenate([IMAGES[:40], IMAGES[3:5]]))["duplicates"]
    assert found.images == ["train image 40", "train image 41"]


def test_near_duplicates(audit):
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[7]).save(buffer, "JPEG", quality=90, subsampling=0)
    brighter = np.clip(IMAGES[9] * 1.02, 0, 255).astype(np.uint8)
    found = audit(images=np.concatenate([IMAGES[:40], [np.asarray(Image.open(buffer))], [brighter]]))["near-duplicates"]
    assert found.images == ["train image 40", "train image 41"]
    assert found.severity == "note"


def test_near_duplicates_far_apart(network, tmp_path):
    """More images than are compared at a time."""
    many, _ = pictures(400, seed=9)
    many[399] = np.clip(many[2] * 1.02, 0, 255).astype(np.uint8)
    assert audited(network, tmp_path, images=many)[0]["near-duplicates"].images == ["train image 399"]


def test_missing_class(audit):
    kept = LABELS != 1
    found = audit(images=IMAGES[kept], labels=LABELS[kept], classes=CLASSES)["class-coverage"]
    assert (found.severity, found.text) == ("note", "1 of 3 classes have no image: green")


def test_one_class_only(audit):
    kept = LABELS == 2
    found = audit(images=IMAGES[kept], labels=LABELS[kept], classes=CLASSES)["class-coverage"]
    assert found.severity == "grave"
    assert "one class, blue" in found.text


def test_one_class_that_outweighs_the_others(audit):
    order = np.concatenate([np.nonzero(LABELS == 0)[0], np.nonzero(LABELS != 0)[0][:15]])
    found = audit(images=IMAGES[order], labels=LABELS[order], classes=CLASSES)["class-coverage"]
    assert found.severity == "note"
    assert "are of one class, red" in found.text


RAW = IMAGES.astype(np.float32)
IMAGENET = Preprocessing(size=(16, 16), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@pytest.mark.parametrize(
    ("given", "preprocessing", "words"),
    [
        (RAW, PREPROCESSING, ["pixel values 0 to 255, not normalized", "wants -1 to 0.9922"]),
        (RAW / 255, PREPROCESSING, ["scaled to 0..1", "without mean and std", "wants -1 to 0.9922"]),
        (RAW / 255, IMAGENET, ["scaled to 0..1", "without mean and std"]),
        (RAW / 127.5 - 1, IMAGENET, ["scaled to -1..1"]),
        (RAW - np.float32(IMAGENET.mean), IMAGENET, ["pixel values minus ImageNet's mean"]),
        (IMAGENET.normalize(IMAGES), PREPROCESSING, ["normalized by ImageNet's mean and std"]),
        (RAW / 255, Preprocessing(size=(16, 16), mean=(0,) * 3, std=(1,) * 3), ["scaled to 0..1", "wants 0 to 255"]),
        (RAW / 127.5 - 1, Preprocessing(size=(16, 16), mean=(0,) * 3, std=(255,) * 3), ["scaled to -1..1"]),
        (3 * INPUTS, PREPROCESSING, ["not what the preprocessing gives"]),
    ],
)
def test_range_of_another_preprocessing_is_named(audit, given, preprocessing, words):
    found = audit(images=given.astype(np.float32), preprocessing=preprocessing)["input-range"]
    assert found.severity == "grave"
    for word in words:
        assert word in found.text


def test_the_right_range_is_not_accused(audit):
    for preprocessing in (PREPROCESSING, IMAGENET):
        assert "input-range" not in audit(images=preprocessing.normalize(IMAGES), preprocessing=preprocessing)


def test_one_image_out_of_range_is_named(audit):
    inputs = INPUTS.copy()
    inputs[33] *= 20
    found = audit(images=inputs)["input-range"]
    assert (found.severity, found.images) == ("grave", ["train image 33"])
    assert "1 of 120" in found.text
    assert "noise-images" not in audit(images=inputs)


def test_bits_made_8_bit(audit):
    found = audit(images=(IMAGES > 127).astype(np.uint8))["input-range"]
    assert found.severity == "grave"
    assert "as when 0..1 was made 8-bit" in found.text


def test_low_contrast(audit):
    assert audit(images=100 + IMAGES // 8)["low-contrast"].severity == "note"


def test_constant_input_channel(audit):
    images = IMAGES.copy()
    images[..., 1] = 77
    found = audit(images=images)["constant-input"]
    assert found.severity == "grave"
    assert "channel 1" in found.text


def test_bgr_for_rgb_by_the_classes(audit):
    found = audit(images=IMAGES[..., ::-1], labels=LABELS, classes=CLASSES)["channel-order"]
    assert found.severity == "grave"
    assert "BGR images for a network that wants RGB" in found.text


def test_bgr_for_rgb_by_what_the_network_is_sure_of(audit):
    """Without classes. This network is surest of what is far from the mean that it was told."""
    wanted = Preprocessing(size=(16, 16), mean=(150.0, 110.0, 70.0), std=(60.0,) * 3)
    images = np.clip(np.random.default_rng(1).normal(0, 30, (60, 16, 16, 3)) + wanted.mean, 0, 255).astype(np.uint8)
    found = audit(images=images[..., ::-1], preprocessing=wanted)
    assert "channel-order" not in found or "means" in found["channel-order"].text
    found = audit(images=images, preprocessing=wanted)["channel-order"]
    assert (found.severity, "surer" in found.text) == ("note", True)


def test_bgr_for_rgb_by_the_means(tmp_path):
    """Images whose mean is that of the preprocessing, the other way round."""
    wanted = Preprocessing(size=(16, 16), mean=(150.0, 110.0, 70.0), std=(60.0,) * 3)
    smooth = np.random.default_rng(1).normal(0, 30, (60, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    turned = np.clip(smooth + np.array([70, 110, 150]), 0, 255).astype(np.uint8)
    found = {}
    for name, images in (("turned", turned), ("right", turned[..., ::-1])):
        calibration = collected(tmp_path, wanted, images=images)
        found[name] = channels(calibration, measure(calibration, calibration.ports[0], tmp_path))
    (finding,) = found["turned"]
    assert (finding.code, finding.severity) == ("channel-order", "note")
    assert "BGR images for RGB?" in finding.text
    assert found["right"] == []


@pytest.mark.parametrize(("heads", "tosses"), [(0, 0), (1, 1), (5, 10), (9, 10), (61, 90), (200, 256)])
def test_exact_binomial_is_scipys(heads, tosses):
    expected = binomtest(heads, tosses).pvalue if tosses else 1.0
    assert coin_p(heads, tosses) == pytest.approx(expected, rel=1e-9)


def test_blank_images(audit):
    images = IMAGES.copy()
    images[[4, 8]] = np.array([[[[10]]], [[[200]]]], np.uint8)
    found = audit(images=images)["blank-images"]
    assert (found.severity, found.images) == ("note", ["train image 4", "train image 8"])
    images[:80] = np.arange(80, dtype=np.uint8)[:, None, None, None]
    assert audit(images=images)["blank-images"].severity == "grave"


def test_noise(audit):
    images, rng = IMAGES.copy(), np.random.default_rng(2)
    images[20] = rng.integers(0, 256, (16, 16, 3))
    images[21] = np.where(rng.random((16, 16, 1)) < 0.1, 255, images[21] // 2)
    found = audit(images=images)["noise-images"]
    assert (found.severity, found.images) == ("note", ["train image 20", "train image 21"])


def test_an_outlier_is_named_and_left_out(network, tmp_path):
    inputs = INPUTS.copy()
    inputs[50] *= 20
    found, done = audited(network, tmp_path, images=inputs)
    assert (found["outlier-images"].severity, found["outlier-images"].images) == ("note", ["train image 50"])
    assert "no say in the ranges" in found["outlier-images"].text
    assert done.left_out == {50: "train image 50"}
    assert done.record().left_out == ["train image 50"]
    assert audited(network, tmp_path, images=INPUTS)[1].left_out == {}


@pytest.mark.parametrize("share", [0.06, 0.2])
def test_outliers_too_many_to_be_left_out(network, tmp_path, share):
    inputs = INPUTS.copy()
    inputs[: int(share * len(inputs))] *= 20
    found, done = audited(network, tmp_path, images=inputs)
    assert found["outlier-images"].severity == "grave"
    assert f"{int(share * len(inputs))} of 120" in found["outlier-images"].text
    assert done.left_out == {}


def test_ordered_images(network, tmp_path):
    darker = np.concatenate([IMAGES[:60] // 2, IMAGES[60:]])
    found, done = audited(network, tmp_path, images=darker)
    assert found["ordered-images"].severity == "note"
    assert done.stability["halves"]["median"] > 2 * done.stability["shuffles"]["median"]
    assert "ordered-images" not in audited(network, tmp_path, images=IMAGES)[0]


def test_unstable_ranges(network, tmp_path):
    scale = np.random.default_rng(3).lognormal(0, 1.0, (120, 1, 1, 1)).clip(0, 8) / 8
    dim = INPUTS * scale.astype(np.float32)
    found = audited(network, tmp_path, "minmax", images=dim[:16])[0]["unstable-ranges"]
    assert found.severity == "note"


def test_constant_output(network, tmp_path):
    """The network's own output never is; the rule is shown what it would see of one that is."""
    _, done = audited(network, tmp_path, images=IMAGES)
    seen = observe(Activations(network), done.feeds(), done.names, tmp_path)
    assert "constant-output" not in {each.code for each in constant_channels(seen)}
    seen.channel_lows[-1][:] = seen.channel_highs[-1][:] = 3.0
    found = {each.code: each for each in constant_channels(seen)}
    assert found["constant-output"].severity == "grave"


def test_text_of_old_and_new_records(audit):
    old = Finding(code="", severity="note", text="5 of 15 images are duplicates")
    assert text_of(old) == "5 of 15 images are duplicates"
    found = audit(images=np.concatenate([IMAGES[:40], IMAGES[3:4]]))["duplicates"]
    assert text_of(found) == "note, duplicates: 1 of 41 images are duplicates (train image 40)"
