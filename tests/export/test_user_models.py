"""Models as users bring them, through `tfeff export --int8` with nothing else said: each exports, and no output is
farther from Keras than that of TensorFlow's own converter on samples that neither has seen; or it is refused in a
sentence, and soon."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from against_stock import ratios, stock_outputs
from click.testing import CliRunner
from user_models import USERS, User, write

from tfeff.cli import cli
from tfeff.compare import Runner
from tfeff.errors import TfeffError

SAMPLES, HELD = 100, 64
REFUSED_S = 10.0  # of this process: the machine may have others to serve


@dataclass
class Made:
    """What came of a model: its record, the error, and how long that took this process."""

    user: User
    model: keras.Model
    folder: Path
    record: dict | None
    error: BaseException | None
    seconds: float


def export(user: User, folder: Path, samples: int = SAMPLES) -> Made:
    model, path = write(user, folder)
    np.savez(folder / "calibration.npz", **user.samples(samples, 1))
    start = time.process_time()
    ran = CliRunner().invoke(cli, ["export", str(path), "--int8", "--calibration", str(folder / "calibration.npz"),
                                   "--no-bench", "--json", "--quiet", "--out", str(folder / "out"),
                                   *user.options])  # fmt: skip
    record = json.loads(ran.stdout) if ran.exception is None else None
    return Made(user, model, folder, record, ran.exception, time.process_time() - start)


def distances(made: Made) -> tuple[list[str], list[float], list[float] | None]:
    """Of what was held out: names of the outputs in Keras' order, our SQNR of each, and the stock converter's."""
    user, model = made.user, made.model
    held = user.given(user.samples(HELD, 2))
    wanted = keras.tree.flatten(model.predict(held if len(held) > 1 else held[0], verbose=0))
    runner = Runner(made.folder / "out" / "user.int8.tflite")
    doors = [port["name"] for port in made.record["inputs"]]
    rows = [runner({door: each[k] for door, each in zip(doors, held, strict=True)}) for k in range(HELD)]
    names = [port["name"] for port in made.record["outputs"]]
    names = names if len(names) == 1 else model.output_names
    ours = ratios(wanted, [np.stack([row[name] for row in rows]) for name in names])
    stock = stock_outputs(model, user.given(user.samples(SAMPLES, 1)), held)
    return names, ours, None if stock is None else ratios(wanted, stock)


@pytest.mark.parametrize("name", USERS)
def test_no_output_is_farther_than_the_stock_converter_s(name, tmp_path):
    made = export(USERS[name], tmp_path)
    if made.user.refused is not None:
        assert isinstance(made.error, TfeffError), made.error
        assert all(word in f"{made.error.what}; {made.error.mend}" for word in made.user.refused)
        assert made.seconds < REFUSED_S
        return
    assert made.error is None, made.error
    assert made.record["ops"]["float"] == []
    names, ours, stock = distances(made)
    for number, output in enumerate(names):
        assert ours[number] > 15, output
        if stock is not None:
            assert ours[number] >= stock[number] - made.user.slack_db, (output, ours[number], stock[number])
