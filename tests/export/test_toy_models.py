"""Small models of every shape through `tfeff export --int8` and the commands that read what it leaves: each output is
checked by its name against Keras."""

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from toy_models import TOYS, gru_loop, write

from tfeff.artifact import open_artifact
from tfeff.cli import cli
from tfeff.compare import Runner
from tfeff.errors import GateFailed
from tfeff.export import pipeline
from tfeff.export.quantize import Converter


@dataclass
class Made:
    """What came of a toy: its folder, the exit code, what was printed as JSON, what was raised."""

    folder: Path
    labelled: Path
    code: int
    record: dict
    error: BaseException | None

    @property
    def file(self):
        return self.folder / "out" / "toy.int8.tflite"


def invoke(*arguments):
    """A command in this process; its code, its JSON, its error."""
    ran = CliRunner().invoke(cli, [*map(str, arguments), "--json", "--quiet"])
    code = getattr(ran.exception, "exit_code", 1) if ran.exception is not None else 0
    return code, json.loads(ran.stdout) if ran.stdout.strip() else {}, ran.exception


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: Made} of every toy; one process converts them all."""
    folder = tmp_path_factory.mktemp("toys")
    with Converter(folder) as converter, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "Converter", lambda scratch: _Shared(converter))
        yield {name: _export(toy, folder / name) for name, toy in TOYS.items()}


class _Shared:
    """A converter that outlives an export."""

    def __init__(self, converter):
        self._converter = converter

    def __enter__(self):
        return self._converter

    def __exit__(self, *exception):
        pass


def _export(toy, folder):
    folder.mkdir()
    path, calibration, labelled = write(toy, folder)
    ran = invoke("export", path, "--int8", "--calibration", calibration, "--dataset", labelled, "--no-bench",
                 "--out", folder / "out", *toy.options)  # fmt: skip
    return Made(folder, labelled, *ran)


@pytest.fixture(params=[name for name, toy in TOYS.items() if toy.left is None])
def toy(request, made):
    assert made[request.param].code == 0, made[request.param].error
    return TOYS[request.param], made[request.param]


def test_ports_and_tasks_are_those_of_the_model(toy):
    known, made = toy
    record = open_artifact(made.file).record
    names = ["image"] if known.images and len(known.shapes) == 1 else [*known.shapes]
    assert [port.name for port in record.inputs] == names
    assert [tuple(port.shape[1:]) for port in record.inputs] == [*known.shapes.values()]
    assert [port.dtype for port in record.inputs] == ["int32" if known.vocabulary else "int8"] * len(names)
    assert sorted(port.name for port in record.outputs) == sorted(known.outputs)
    assert {port.dtype for port in record.outputs} == {"int8"}
    assert [(task.name, task.decode.get("kind")) for task in record.tasks] == [*known.tasks]
    assert record.ops.float_ == []
    assert [port.name for port in record.images] == [
        name for name, shape in zip(names, known.shapes.values(), strict=True) if known.images and len(shape) == 3
    ]


def test_every_output_is_keras_output(toy):
    known, made = toy
    model = keras.saving.load_model(made.folder / "toy.keras")
    samples = known.samples(3)
    given = known.given(samples)
    wanted = model.predict(given if len(given) > 1 else given[0], verbose=0)
    wanted = wanted if isinstance(wanted, dict) else {known.outputs[0]: wanted}
    runner = Runner(made.file)
    names = ["image"] if known.images and len(given) == 1 else [*known.shapes]
    found = [runner({name: each[n] for name, each in zip(names, given, strict=True)}) for n in range(len(given[0]))]
    for name in known.outputs:
        error = np.stack([each[name] for each in found]).reshape(wanted[name].shape) - wanted[name]
        ratio = 10 * np.log10(np.mean(wanted[name] ** 2) / np.mean(error**2))
        assert ratio > known.sqnr_db, (name, ratio)
        ports = [port for port in made.record["ports"] if port["name"] == name]
        assert [port["reference"] for port in ports] == ["float file", "model"]
        assert min(port["sqnr_db"] for port in ports) > known.sqnr_db  # on other samples


def test_units_are_what_was_simulated(toy):
    simulation = toy[1].record["quantization"]["simulation"]
    assert simulation["units"] > 0
    assert simulation["rescaled"] == simulation["missing"] == []
    assert all(unit.startswith(toy[0].coarse or "-") for unit in simulation["beyond"])


def test_the_later_commands_take_it(toy, tmp_path):
    known, made = toy
    code, compared, error = invoke("compare", made.file, "--dataset", made.labelled)
    assert code == 0, error
    measured = [task for task, _ in known.tasks if task != "tensors"]
    assert [entry["task"] for entry in compared["accuracy"]] == measured
    assert sorted(port["name"] for port in compared["ports"]) == sorted(known.outputs)
    code, _, error = invoke("debug", made.file, "--images", made.folder / "calibration.npz", "--samples", 4)
    assert code == 0, error
    code, _, error = invoke("report", made.file.with_suffix(".json"), "--out", tmp_path / "report.html")
    assert code == 0, error


@pytest.mark.parametrize("name", ["two_outputs", "image_and_vector", "embedding"])
def test_it_is_timed_and_gives_what_its_float_twin_does(made, name):
    file = made[name].file
    code, timed, error = invoke("bench", file, file.with_name("toy.int8.twin.tflite"), "--max-seconds", 0.5)
    assert code == 0, error
    assert [result["file"] for result in timed["results"]] == [str(file), str(file.with_name("toy.int8.twin.tflite"))]
    assert all(result["median_ms"] > 0 for result in timed["results"])


@pytest.mark.parametrize("name", [name for name, toy in TOYS.items() if toy.left is not None])
def test_an_operation_without_an_int8_kernel_is_named(made, name):
    assert made[name].code == 1
    assert isinstance(made[name].error, GateFailed)
    assert TOYS[name].left in str(made[name].error)
    assert list((made[name].folder / "out").iterdir()) == []


def test_a_loop_is_unrolled(made, tmp_path):
    """A GRU as Keras makes it runs in a loop, of which the converter quantizes nothing."""
    keras.utils.set_random_seed(7)
    gru_loop().save(tmp_path / "loop.keras")
    code, record, error = invoke("export", tmp_path / "loop.keras", "--int8", "--calibration",
                                 made["gru"].folder / "calibration.npz", "--no-bench", "--out", tmp_path)  # fmt: skip
    assert code == 0, error
    assert record["ops"] == made["gru"].record["ops"]
