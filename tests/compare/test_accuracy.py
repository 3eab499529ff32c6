"""Two files on the same samples: against the same network in numpy, and what does not fit together."""

import os
from dataclasses import replace

import numpy as np
import pytest
from compare_models import (
    PREPROCESSING,
    convert,
    convert_function,
    convert_ports,
    dense_network,
    write_old_record,
    write_test_record,
)
from scipy import stats

from tfeff.artifact import open_artifact, read_record
from tfeff.compare import Runner, compare, record_accuracy
from tfeff.data import InputPort, image_port, open_dataset
from tfeff.data.dataset import ArrayDataset, TensorDataset
from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec

pytest_plugins = ["compare_fixtures"]

IMAGE = [image_port(PREPROCESSING)]


@pytest.fixture(scope="module")
def sample():
    return open_dataset("fashion_mnist_sample", "test")


@pytest.fixture(scope="module")
def task(compared_files):
    """What the outputs of these files mean."""
    return TaskSpec(name="classification", outputs=[Runner(compared_files.int8).outputs[0].name])


@pytest.fixture(scope="module")
def result(compared_files, sample, task):
    return compare(compared_files.int8, compared_files.float, sample, IMAGE, [named(task, sample)])


def named(task, sample):
    return TaskSpec(name=task.name, outputs=task.outputs, labels=list(sample.classes))


def array_dataset(images, labels, classes=()):
    labels = None if labels is None else np.asarray(labels, np.int64)
    return ArrayDataset("mine", "mine", tuple(classes), labels, [f"image {n}" for n in range(len(images))], images)


def test_float_top1_is_numpys(compared_files, sample, result):
    images = np.stack([PREPROCESSING(sample.image(n)).reshape(-1) for n in range(len(sample))])
    predicted = (images @ compared_files.kernel + compared_files.bias).argmax(axis=1)
    (accuracy,) = result.accuracy
    assert (accuracy.task, accuracy.metric, accuracy.unit) == ("classification", "top-1", "%")
    assert accuracy.float_value == 100 * np.mean(predicted == sample.labels)
    assert accuracy.float_value > 70
    assert (accuracy.dataset, accuracy.samples) == ("fashion_mnist_sample", 1024)


def test_every_figure_from_the_logits(compared_files, sample, result):
    """The same from a plain loop that keeps everything."""
    runners = Runner(compared_files.float), Runner(compared_files.int8)
    images = [PREPROCESSING(sample.image(n)) for n in range(len(sample))]
    before, after = (
        np.array([next(iter(runner(image).values())) for image in images], np.float64) for runner in runners
    )
    right = before.argmax(1) == sample.labels, after.argmax(1) == sample.labels
    lost, gained = np.sum(right[0] & ~right[1]), np.sum(right[1] & ~right[0])
    assert lost + gained > 0
    (accuracy,), (port,) = result.accuracy, result.ports
    assert accuracy.quantized == 100 * np.mean(right[1])
    assert accuracy.delta == pytest.approx(accuracy.quantized - accuracy.float_value)
    assert accuracy.ci95[0] <= accuracy.delta <= accuracy.ci95[1]
    assert accuracy.p == pytest.approx(stats.binomtest(int(lost), int(lost + gained)).pvalue)
    assert accuracy.test == "McNemar, exact"
    assert accuracy.details == {"flips": 100 * np.mean(before.argmax(1) != after.argmax(1))}
    assert [row.label for row in accuracy.groups] == list(sample.classes)
    assert sum(row.samples for row in accuracy.groups) == len(sample)
    losses = [row.delta for row in accuracy.worst]
    assert losses == sorted(row.delta for row in accuracy.groups if row.delta < 0)[:3]
    for row in [*accuracy.worst, *accuracy.groups]:
        here = sample.labels == sample.classes.index(row.label)
        assert row.delta == pytest.approx(100 * (right[1][here].mean() - right[0][here].mean()))
    snr = 10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2))
    assert (port.name, port.reference, port.source) == (accuracy.outputs[0], "float file", "fashion_mnist_sample")
    assert port.sqnr_db == pytest.approx(snr, abs=1e-6)
    assert 20 < snr < 60
    assert port.max_abs_error == pytest.approx(np.abs(before - after).max())
    cosine = np.sum(before * after) / np.sqrt(np.sum(before**2) * np.sum(after**2))
    assert port.cosine == pytest.approx(cosine, abs=1e-12)
    assert (port.samples, port.equal_share) == (len(sample), None)


def test_a_wrong_file_is_found_out(compared_files, sample, task):
    result = compare(compared_files.wrong, compared_files.float, sample, IMAGE, [task])
    (accuracy,) = result.accuracy
    assert accuracy.delta < -50
    assert accuracy.p < 1e-50
    assert accuracy.details["flips"] > 90
    assert result.ports[0].sqnr_db < 5
    assert len(accuracy.worst) == 3


def test_threads_and_repetition_change_nothing(compared_files, sample, task, result):
    for threads in (2, 1):
        again = compare(
            compared_files.int8, compared_files.float, sample, IMAGE, [named(task, sample)], threads=threads
        )
        assert again == result


def test_a_file_against_a_copy_of_itself(compared_files, sample):
    spec = TaskSpec(name="classification", outputs=[Runner(compared_files.float).outputs[0].name])
    result = compare(compared_files.float, compared_files.float, sample, IMAGE, [spec], samples=50)
    (accuracy,), (port,) = result.accuracy, result.ports
    assert (accuracy.delta, accuracy.ci95, accuracy.p, accuracy.details) == (0.0, (0.0, 0.0), 1.0, {"flips": 0.0})
    assert (port.sqnr_db, port.max_abs_error) == (None, 0.0)
    assert port.cosine == pytest.approx(1.0)
    assert accuracy.worst == []


def test_a_subset_is_random_seeded_and_read_in_order(compared_files, sample, task):
    read = []

    class Watched(ArrayDataset):
        def image(self, number):
            read.append(number)
            return super().image(number)

    fields = {name: getattr(sample, name) for name in ("name", "source", "classes", "labels", "names", "images")}
    steps = []
    tell = lambda done, total: steps.append((done, total))  # noqa: E731
    both = compared_files.int8, compared_files.float
    first = compare(*both, Watched(**fields), IMAGE, [task], samples=150, seed=3, progress=tell).accuracy[0]
    assert first.samples == 150
    assert read == sorted(set(read))  # each once
    assert len(read) == 150
    assert max(read) > 900
    images = np.stack([PREPROCESSING(sample.image(n)).reshape(-1) for n in read])
    predicted = (images @ compared_files.kernel + compared_files.bias).argmax(axis=1)
    assert first.float_value == 100 * np.mean(predicted == sample.labels[read])
    assert steps[-1] == (150, 150)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    once, read[:] = list(read), []
    compare(*both, Watched(**fields), IMAGE, [task], samples=150, seed=4)
    assert read != once
    assert compare(*both, sample, IMAGE, [task], samples=5000).accuracy[0].samples == 1024


def test_labels_are_matched_by_name(compared_files, sample, task, result):
    """Folders are sorted by name; the network's classes are not."""
    order = np.argsort(sample.classes)
    by_name = replace(sample, classes=tuple(sample.classes[n] for n in order), labels=np.argsort(order)[sample.labels])
    matched = compare(compared_files.int8, compared_files.float, by_name, IMAGE, [named(task, sample)])
    assert matched == result
    by_number = compare(compared_files.int8, compared_files.float, by_name, IMAGE, [task])
    assert by_number.accuracy[0].float_value < 50


def test_files_that_do_not_fit(compared_files, sample, task, tmp_path):
    def refused(message, quantized, float_file, preprocessing=PREPROCESSING, task=task):
        with pytest.raises(TfeffError, match=message) as error:
            compare(quantized, float_file, sample, [image_port(preprocessing)], [task])
        assert error.value.mend

    three = convert(
        dense_network(compared_files.kernel[:, :3], compared_files.bias[:3], (14, 14, 1)), tmp_path / "three.tflite"
    )
    mask = convert_function(lambda image: {"mask": image * 2.0}, (1, 14, 14, 1), tmp_path / "mask.tflite")
    refused("its input .* is quantized, so it is no float twin", compared_files.float, compared_files.int8)
    refused(r"shape \(14, 14, 1\), the preprocessing gives image of shape \(28, 28, 1\)",
            compared_files.int8, compared_files.float,
            replace(PREPROCESSING, size=(28, 28), resize_size=None))  # fmt: skip
    refused(r"gives .* of shape \(10,\); .*three.tflite gives .* of shape \(3,\)", compared_files.int8, three)
    refused(r"gives mask of shape \(14, 14, 1\); .*float.tflite gives .* of shape \(10,\)", mask, compared_files.float)
    two = TaskSpec(name="tensors", outputs=["mask", "logits"])
    refused(
        "task tensors: reads the output 'mask', the files have", compared_files.int8, compared_files.float, task=two
    )


def test_outputs_that_are_not_finite(compared_files, sample, task, tmp_path):
    kernel = compared_files.kernel.copy()
    kernel[90, 4] = np.nan
    broken = convert(dense_network(kernel, compared_files.bias, (14, 14, 1)), tmp_path / "nan.tflite")
    with pytest.raises(TfeffError, match=r"nan.tflite: gives NaN or infinity for test image \d+"):
        compare(compared_files.int8, broken, sample, IMAGE, [task])


def test_an_image_that_cannot_be_read_is_named(compared_files, task):
    images = array_dataset(np.zeros((100, 8, 8, 4), np.uint8), np.arange(100) % 10)
    with pytest.raises(TfeffError, match=r"dataset mine, image 0: an image of shape \(8, 8, 4\)"):
        compare(compared_files.int8, compared_files.float, images, IMAGE, [task])


def test_a_dataset_without_images(compared_files, task):
    nothing = array_dataset(np.zeros((0, 8, 8), np.uint8), [])
    for spec in (task, TaskSpec(name="tensors", outputs=task.outputs)):
        with pytest.raises(TfeffError, match="holds no images"):
            compare(compared_files.int8, compared_files.float, nothing, IMAGE, [spec])


def test_memory_does_not_grow_with_the_images(compared_files, task):
    """4,000 images of 200 kB from a dataset that keeps none: 800 MB if they were kept."""
    import resource

    class Endless(ArrayDataset):
        def image(self, number):
            return np.full((256, 256, 3), number % 256, np.uint8)

    labels = np.arange(4000) % 10
    dataset = Endless("endless", "", (), labels, [str(n) for n in range(4000)], np.zeros((0, 1, 1), np.uint8))
    compare(compared_files.int8, compared_files.float, dataset, IMAGE, [task], samples=100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    compare(compared_files.int8, compared_files.float, dataset, IMAGE, [task])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


# Several inputs and outputs


def two_heads(left, right, size):
    """In TensorFlow; `numpy_heads` is the same."""
    import tensorflow as tf

    both = tf.concat([tf.reduce_mean(left, (1, 2)), tf.reduce_mean(right, (1, 2)), size], 1)  # (1, 4)
    return {"depth": tf.tanh(both @ tf.ones((4, 3))) * 0.5, "kind": both * 2.0, "rank": tf.argmax(both, 1)}


def numpy_heads(left, right, size):
    both = np.concatenate([left.mean((0, 1)), right.mean((0, 1)), size])
    return {"depth": np.tanh(both @ np.ones((4, 3))) * 0.5, "kind": both * 2, "rank": np.array([both.argmax()])}


HEADS = {"left": ((1, 4, 4, 1), "float32"), "right": ((1, 4, 4, 1), "float32"), "size": ((1, 2), "float32")}
HEAD_PORTS = [InputPort(name, shape[1:]) for name, (shape, _) in HEADS.items()]


@pytest.fixture(scope="module")
def headed(tmp_path_factory):
    """A float and an int8 file with three inputs and three outputs, and 60 samples."""
    folder, random = tmp_path_factory.mktemp("headed"), np.random.default_rng(0)
    arrays = {name: random.uniform(-1, 1, (60, *shape[1:])).astype(np.float32) for name, (shape, _) in HEADS.items()}
    samples = [{name: array[[n]] for name, array in arrays.items()} for n in range(60)]
    return (
        convert_ports(two_heads, HEADS, folder / "float.tflite"),
        convert_ports(two_heads, HEADS, folder / "int8.tflite", samples),
        TensorDataset("pairs", "", (), None, [f"pair {n}" for n in range(60)], arrays),
    )


def test_ports_of_several_inputs_and_outputs_without_labels(headed):
    float_file, int8, dataset = headed
    spec = TaskSpec(name="tensors", outputs=["depth", "kind", "rank"])
    result = compare(int8, float_file, dataset, HEAD_PORTS, [spec])
    assert result.accuracy == []
    ports = {port.name: port for port in result.ports}
    assert ports.keys() == {"depth", "kind", "rank"}
    runner = Runner(int8)
    wanted = [numpy_heads(**dataset.sample(n)) for n in range(60)]
    given = [runner(dataset.sample(n)) for n in range(60)]
    for name in ("depth", "kind"):
        one, other = (np.array([each[name] for each in side], float) for side in (wanted, given))
        noise = np.sum((one - other) ** 2)
        assert ports[name].sqnr_db == pytest.approx(10 * np.log10(np.sum(one**2) / noise), abs=0.01)
        assert 20 < ports[name].sqnr_db < 60
        assert ports[name].max_abs_error == pytest.approx(np.abs(one - other).max(), rel=1e-3)
        assert ports[name].equal_share is None
    same = np.mean([one["rank"][0] == int(other["rank"]) for one, other in zip(wanted, given, strict=True)])
    assert (ports["rank"].equal_share, ports["rank"].sqnr_db) == (pytest.approx(same), None)


def test_each_output_has_its_own_task(headed):
    float_file, int8, dataset = headed
    wanted = np.array([numpy_heads(**dataset.sample(n))["depth"] for n in range(60)])
    labelled = replace(dataset, labels=wanted + 0.25)
    specs = [TaskSpec(name="regression", outputs=["depth"]), TaskSpec(name="tensors", outputs=["kind", "rank"])]
    (accuracy,) = compare(int8, float_file, labelled, HEAD_PORTS, specs).accuracy
    assert (accuracy.task, accuracy.outputs, accuracy.metric) == ("regression", ["depth"], "MAE")
    assert accuracy.float_value == pytest.approx(0.25, abs=1e-5)
    assert accuracy.higher_is_better is False
    assert accuracy.delta == pytest.approx(accuracy.quantized - 0.25, abs=1e-5)
    assert [row.label for row in accuracy.groups] == ["0", "1", "2"]
    assert all(row.delta > 0 for row in accuracy.worst)  # more error is worse
    assert accuracy.details["r2"]["float"] < 1


def test_a_multi_label_head(headed):
    float_file, int8, dataset = headed
    truth = np.array([numpy_heads(**dataset.sample(n))["kind"] for n in range(60)]) > 0
    spec = TaskSpec(name="classification", outputs=["kind"], labels=list("abcd"), decode={"kind": "multi-label"})
    (accuracy,) = compare(int8, float_file, replace(dataset, labels=truth), HEAD_PORTS, [spec]).accuracy
    assert (accuracy.metric, accuracy.float_value, accuracy.test) == ("mean F1", 100.0, "bootstrap")
    assert accuracy.quantized < 100
    assert accuracy.ci95[0] <= accuracy.delta <= accuracy.ci95[1] <= 0
    assert [row.label for row in accuracy.groups] == list("abcd")


def test_outputs_are_matched_by_name_else_by_shape(headed, tmp_path):
    """Converters do not keep their order."""
    float_file, int8, dataset = headed
    spec = TaskSpec(name="tensors", outputs=["kind"])

    def other_names(left, right, size):
        return {f"{name}_of_mine": values for name, values in two_heads(left, right, size).items()}

    other = convert_ports(other_names, HEADS, tmp_path / "other.tflite")
    assert {port.name for port in Runner(other).outputs} == {"depth_of_mine", "kind_of_mine", "rank_of_mine"}
    wanted = compare(int8, float_file, dataset, HEAD_PORTS, [spec])
    assert compare(int8, other, dataset, HEAD_PORTS, [spec]).ports == wanted.ports

    def alike(left, right, size):
        found = two_heads(left, right, size)
        return {"a": found["kind"], "b": found["kind"] * 2.0, "c": found["rank"]}

    with pytest.raises(TfeffError, match=r"b of shape \(4,\)") as error:
        compare(int8, convert_ports(alike, HEADS, tmp_path / "alike.tflite"), dataset, HEAD_PORTS, [spec])
    assert "same names" in error.value.mend


def test_an_input_that_is_missing_is_named(headed):
    float_file, int8, dataset = headed
    spec = TaskSpec(name="tensors", outputs=["kind"])
    arrays = {name: dataset.arrays[name] for name in ("left", "right")}
    with pytest.raises(TfeffError, match=r"dataset pairs, pair 0: holds left, right; .* so size is missing"):
        compare(int8, float_file, replace(dataset, arrays=arrays), HEAD_PORTS, [spec])
    with pytest.raises(TfeffError, match=r"takes .*size of shape \(2,\).*, the preprocessing gives left"):
        compare(int8, float_file, dataset, HEAD_PORTS[:2], [spec])


def test_scalars_in_and_out(tmp_path):
    """Rank 0, as Keras' `Input(())` gives: a batch of one number."""
    path = convert_function(lambda image: {"twice": image * 2.0}, (1,), tmp_path / "scalar.tflite")
    values = np.arange(5, dtype=np.float32)
    dataset = TensorDataset("levels", "", (), values * 2, [str(n) for n in range(5)], {"level": values})
    spec = TaskSpec(name="regression", outputs=["twice"])
    result = compare(path, path, dataset, [InputPort("level", ())], [spec])
    assert (result.accuracy[0].float_value, result.ports[0].max_abs_error) == (0.0, 0.0)


def test_record_accuracy(compared_files, tmp_path, result):
    path = tmp_path / "a.tflite"
    os.link(compared_files.int8, path)
    os.link(compared_files.float, tmp_path / "float.tflite")
    record = write_test_record(path)
    assert record_accuracy(open_artifact(path), result) is True
    found = read_record(record)
    assert (found.accuracy, found.ports) == (result.accuracy, result.ports)
    opened = open_artifact(path)
    with pytest.raises(TfeffError, match="changed while it was compared"):
        record_accuracy(opened, replace(result, quantized_sha256="0" * 64))
    record.unlink()
    assert record_accuracy(open_artifact(path), result) is False


def test_agreement_with_the_model_stays_beside_that_with_the_float_file(compared_files, tmp_path, result):
    import msgspec

    from tfeff.artifact import write_record

    path = tmp_path / "a.tflite"
    os.link(compared_files.int8, path)
    written = write_test_record(path, float_twin=None)
    of_model = [msgspec.structs.replace(port, reference="model", sqnr_db=11.0) for port in result.ports]
    record = read_record(written)
    record.ports = of_model
    write_record(written, record)
    for _ in range(2):  # the second replaces what the first wrote
        assert record_accuracy(open_artifact(path), result) is True
        assert read_record(written).ports == [*of_model, *result.ports]


def test_an_old_record_takes_the_figures_as_a_new_one(compared_files, tmp_path, task, sample):
    path = tmp_path / "a.tflite"
    os.link(compared_files.int8, path)
    os.link(compared_files.float, tmp_path / "float.tflite")
    written = write_old_record(path)
    opened = open_artifact(path)
    assert opened.record.outputs[0].name == "logits"  # as schema 1 called it, whatever the file's signature says
    result = compare(path, tmp_path / "float.tflite", sample, IMAGE, opened.record.tasks, samples=40)
    assert record_accuracy(opened, result) is True
    assert b'"schema_version": 2' in written.read_bytes()
    assert read_record(written).accuracy == result.accuracy
