"""Two files on the same images: against the same network in numpy, and what does not fit together."""

import os
from dataclasses import replace

import numpy as np
import pytest
from compare_models import PREPROCESSING, convert, convert_function, dense_network, write_test_record
from scipy import stats

from tfeff.artifact import open_artifact, read_record
from tfeff.compare import Runner, compare, record_accuracy
from tfeff.compare.accuracy import match_labels
from tfeff.data import open_dataset
from tfeff.data.dataset import ArrayDataset
from tfeff.errors import TfeffError

pytest_plugins = ["compare_fixtures"]


@pytest.fixture(scope="module")
def sample():
    return open_dataset("fashion_mnist_sample", "test")


@pytest.fixture(scope="module")
def result(compared_files, sample):
    return compare(compared_files.int8, compared_files.float, sample, PREPROCESSING)


def array_dataset(images, labels, classes=()):
    labels = None if labels is None else np.asarray(labels, np.int64)
    return ArrayDataset("mine", "mine", tuple(classes), labels, [f"image {n}" for n in range(len(images))], images)


def test_float_top1_is_numpys(compared_files, sample, result):
    images = np.stack([PREPROCESSING(sample.image(n)).reshape(-1) for n in range(len(sample))])
    predicted = (images @ compared_files.kernel + compared_files.bias).argmax(axis=1)
    assert result["float_top1"] == 100 * np.mean(predicted == sample.labels)
    assert result["float_top1"] > 70
    assert (result["dataset"], result["samples"]) == ("fashion_mnist_sample", 1024)


def test_every_figure_from_the_logits(compared_files, sample, result):
    """The same from a plain loop that keeps everything."""
    runners = Runner(compared_files.float), Runner(compared_files.int8)
    logits = np.array([[runner(PREPROCESSING(sample.image(n))) for runner in runners] for n in range(len(sample))])
    before, after = logits[:, 0].astype(np.float64), logits[:, 1].astype(np.float64)
    right = before.argmax(1) == sample.labels, after.argmax(1) == sample.labels
    lost, gained = np.sum(right[0] & ~right[1]), np.sum(right[1] & ~right[0])
    assert lost + gained > 0
    assert result["quantized_top1"] == 100 * np.mean(right[1])
    assert result["delta"] == pytest.approx(result["quantized_top1"] - result["float_top1"])
    assert result["ci95"][0] <= result["delta"] <= result["ci95"][1]
    assert result["mcnemar_p"] == pytest.approx(stats.binomtest(int(lost), int(lost + gained)).pvalue)
    assert result["flips"] == 100 * np.mean(before.argmax(1) != after.argmax(1))
    snr = 10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2))
    assert result["output_snr_db"] == pytest.approx(snr, abs=1e-6)
    assert 20 < snr < 60
    assert [row["label"] for row in result["by_class"]] == list(sample.classes)
    assert sum(row["samples"] for row in result["by_class"]) == len(sample)
    for row in [*result["worst_classes"], *result["by_class"]]:
        here = sample.labels == sample.classes.index(row["label"])
        assert row["delta"] == pytest.approx(100 * (right[1][here].mean() - right[0][here].mean()))


def test_a_wrong_file_is_found_out(compared_files, sample):
    result = compare(compared_files.wrong, compared_files.float, sample, PREPROCESSING)
    assert result["delta"] < -50
    assert result["mcnemar_p"] < 1e-50
    assert result["flips"] > 90
    assert result["output_snr_db"] < 5
    assert len(result["worst_classes"]) == 3


def test_threads_and_repetition_change_nothing(compared_files, sample, result):
    assert compare(compared_files.int8, compared_files.float, sample, PREPROCESSING) == result
    assert compare(compared_files.int8, compared_files.float, sample, PREPROCESSING, threads=1) == result


def test_a_file_against_a_copy_of_itself(compared_files, sample):
    result = compare(compared_files.float, compared_files.float, sample, PREPROCESSING, samples=50)
    assert (result["delta"], result["ci95"], result["mcnemar_p"], result["flips"]) == (0.0, [0.0, 0.0], 1.0, 0.0)
    assert result["output_snr_db"] is None
    assert result["worst_classes"] == []


def test_a_subset_is_random_seeded_and_read_in_order(compared_files, sample):
    read = []

    class Watched(ArrayDataset):
        def image(self, number):
            read.append(number)
            return super().image(number)

    fields = {name: getattr(sample, name) for name in ("name", "source", "classes", "labels", "names", "images")}
    steps = []
    tell = lambda done, total: steps.append((done, total))  # noqa: E731
    first = compare(
        compared_files.int8, compared_files.float, Watched(**fields), PREPROCESSING, samples=150, seed=3, progress=tell
    )
    assert first["samples"] == 150
    assert read == sorted(set(read))  # each once
    assert len(read) == 150
    assert max(read) > 900
    images = np.stack([PREPROCESSING(sample.image(n)).reshape(-1) for n in read])
    predicted = (images @ compared_files.kernel + compared_files.bias).argmax(axis=1)
    assert first["float_top1"] == 100 * np.mean(predicted == sample.labels[read])
    assert steps[-1] == (150, 150)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    once, read[:] = list(read), []
    compare(compared_files.int8, compared_files.float, Watched(**fields), PREPROCESSING, samples=150, seed=4)
    assert read != once
    assert compare(compared_files.int8, compared_files.float, sample, PREPROCESSING, samples=5000)["samples"] == 1024


def test_labels_are_matched_by_name(compared_files, sample, result):
    """Folders are sorted by name; the network's classes are not."""
    order = np.argsort(sample.classes)
    by_name = replace(sample, classes=tuple(sample.classes[n] for n in order), labels=np.argsort(order)[sample.labels])
    matched = compare(compared_files.int8, compared_files.float, by_name, PREPROCESSING, labels=sample.classes)
    assert matched == result
    assert compare(compared_files.int8, compared_files.float, by_name, PREPROCESSING)["float_top1"] < 50  # by number


def test_labels_that_do_not_fit(sample):
    def refused(dataset, labels=None):
        with pytest.raises(TfeffError) as error:
            match_labels(dataset, labels, 10)
        assert error.value.mend
        return error.value.what

    images = np.zeros((4, 8, 8), np.uint8)
    assert "has 12 classes, the files give 10 outputs" in refused(array_dataset(images, [0, 1, 2, 11]))
    assert "has 3 classes, the files give 10 outputs" in refused(array_dataset(images, [0, 1, 2, 0], "abc"))
    assert "no labels" in refused(array_dataset(images, None))
    assert "no images" in refused(array_dataset(images[:0], []))
    assert "names 3 labels, the files give 10" in refused(sample, ["a", "b", "c"])
    assert "'T-shirt/top' is none of the record's labels" in refused(sample, list("abcdefghij"))
    assert "is none of the record's labels" in refused(sample, ["Bag"] * 10)
    digits = array_dataset(images, [0, 1, 2, 9], "0123456789")  # numbers say nothing about the order
    assert match_labels(digits, sample.classes, 10)[0].tolist() == [0, 1, 2, 9]


def test_files_that_do_not_fit(compared_files, sample, tmp_path):
    def refused(message, quantized, float_file, preprocessing=PREPROCESSING):
        with pytest.raises(TfeffError, match=message) as error:
            compare(quantized, float_file, sample, preprocessing)
        assert error.value.mend

    three = convert(
        dense_network(compared_files.kernel[:, :3], compared_files.bias[:3], (14, 14, 1)), tmp_path / "three.tflite"
    )
    mask = convert_function(lambda image: {"mask": image * 2.0}, (1, 14, 14, 1), tmp_path / "mask.tflite")
    refused("takes int8 images, so it is no float twin", compared_files.float, compared_files.int8)
    refused(r"shape \(14, 14, 1\), the preprocessing gives \(28, 28, 1\)", compared_files.int8, compared_files.float,
            replace(PREPROCESSING, size=(28, 28), resize_size=None))  # fmt: skip
    refused("gives 10 outputs, .*three.tflite gives 3", compared_files.int8, three)
    refused(r"mask.tflite: its output has shape \(1, 14, 14, 1\)", mask, compared_files.float)


def test_outputs_that_are_not_finite(compared_files, sample, tmp_path):
    kernel = compared_files.kernel.copy()
    kernel[90, 4] = np.nan
    broken = convert(dense_network(kernel, compared_files.bias, (14, 14, 1)), tmp_path / "nan.tflite")
    with pytest.raises(TfeffError, match=r"nan.tflite: gives NaN or infinity for test image \d+"):
        compare(compared_files.int8, broken, sample, PREPROCESSING)


def test_an_image_that_cannot_be_read_is_named(compared_files):
    images = np.zeros((100, 8, 8, 4), np.uint8)
    with pytest.raises(TfeffError, match=r"image of shape \(8, 8, 4\)"):
        compare(compared_files.int8, compared_files.float, array_dataset(images, np.arange(100) % 10), PREPROCESSING)


def test_memory_does_not_grow_with_the_images(compared_files):
    """4,000 images of 200 kB from a dataset that keeps none: 800 MB if they were kept."""
    import resource

    class Endless(ArrayDataset):
        def image(self, number):
            return np.full((256, 256, 3), number % 256, np.uint8)

    labels = np.arange(4000) % 10
    dataset = Endless("endless", "", (), labels, [str(n) for n in range(4000)], np.zeros((0, 1, 1), np.uint8))
    compare(compared_files.int8, compared_files.float, dataset, PREPROCESSING, samples=100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    compare(compared_files.int8, compared_files.float, dataset, PREPROCESSING)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_record_accuracy(compared_files, sample, tmp_path, result):
    path = tmp_path / "a.tflite"
    os.link(compared_files.int8, path)
    os.link(compared_files.float, tmp_path / "float.tflite")
    record = write_test_record(path)
    assert record_accuracy(open_artifact(path), result) is True
    assert read_record(record)["accuracy"] == result
    with pytest.raises(TfeffError, match="changed while it was compared"):
        record_accuracy(open_artifact(path), result | {"quantized_sha256": "0" * 64})
    record.unlink()
    assert record_accuracy(open_artifact(path), result) is False
