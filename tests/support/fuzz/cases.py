"""Cases by kind: each is made by its own seed alone, so that one can be run without the others."""

import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checking_files import edit

from fuzz import making
from fuzz.folders import write_arrays, write_folder
from fuzz.hostile import change_json, change_kindly, change_tree, damaged, json_text
from fuzz.models import NETWORK, write_keras, write_models, write_preset, write_weights
from fuzz.originals import old_record, record, write_originals

TARGETS = ("litert", "edgetpu", "ethos-u", "tflite-runtime", "web")


@dataclass(frozen=True)
class Case:
    """What is run, and which names in its folder that may write."""

    what: str
    commands: list[list[Any]]
    written: tuple[str, ...] = ("out",)


@dataclass(frozen=True)
class Kind:
    """How the originals are prepared, and a case is made of them: (seed, originals, an empty folder) -> case."""

    make: Callable[[str, Path, Path], Case]
    prepare: Callable[[Path], None] = write_originals


def _secret(place: Path) -> str:
    return str(place.parent / "secret")


# --- files ---

_FILES = ("int8", "int8", "int8", "web", "several", "open", "custom")
_PIXELS = ("--mean", 128, "--std", 128)


def _mutant(random: random.Random, originals: Path, name: str) -> tuple[str, bytes]:
    """(what was done, the bytes)"""
    data = (originals / f"{name}.tflite").read_bytes()
    others = [(originals / f"{each}.tflite").read_bytes() for each in _FILES]
    if random.random() < 0.35:
        return f"bytes of {name}", damaged(data, random, others)
    for _ in range(20):
        try:
            changes = random.choice([1, 1, 1, 2, 3])
            data = edit(data, lambda model: [change_tree(model, random) for _ in range(changes)])  # noqa: B023
            break
        except (struct.error, TypeError, AttributeError, ValueError, OverflowError, IndexError):
            continue  # the writer of files does not hold it
    return f"structure of {name}", data if random.random() < 0.9 else damaged(data, random, others)


def make_file(seed: str, originals: Path, place: Path) -> Case:
    """A mutated `.tflite`, with a record that knows it or without one."""
    dice = random.Random(seed)
    name = dice.choice(_FILES)
    what, data = _mutant(dice, originals, name)
    path, twin = place / "m.tflite", place / "float.tflite"
    path.write_bytes(data)
    shutil.copy(originals / "float.tflite", twin)
    if dice.random() < 0.1:
        twin.write_bytes(_mutant(dice, originals, "float")[1])
    known = dice.random() < 0.6
    if known:
        dtype = "float32" if name == "web" else "int8"
        path.with_suffix(".json").write_text(json.dumps(record(path, twin, dtype)))
    images = originals / "images.npz"
    pixels = () if known else _PIXELS
    more = ["--signature", "looped"] if name == "several" and dice.random() < 0.3 else []
    more += ["--input-shape", "1x8x8x3"] if name == "open" and dice.random() < 0.5 else []
    second = dice.choice([
        *[["compare", path, "--against", twin, "--dataset", images, "--samples", 2, *pixels, *more]] * 4,
        *[["debug", path, "--images", images, "--samples", 2, *pixels, *more, "--json"]] * 4,
        ["compare", path, "--samples", 2], ["serve", path, "--port", 0],
        ["report", path.with_suffix(".json"), "--verify", "--format", "md"],
        ["demo", path, "--out", "out/x.apk", "--key", originals / "key.pem"],
        ["profile", path, "--on", "adb"], ["info", path], ["export", path, "--out", "out"],
        ["bench", path, twin, "--max-seconds", 0.01, *more],
    ])  # fmt: skip
    first = ["check", path, "--target", dice.choice(TARGETS), *more, *(["--json"] * dice.randrange(2))]
    return Case(what, [first, second], ("out", "m.json", ".tfeff-"))


# --- records ---


def make_record(seed: str, originals: Path, place: Path) -> Case:
    """A record of a whole file, changed as a value or as text."""
    dice = random.Random(seed)
    name = dice.choice(["int8", "web"])
    path, twin = place / "m.tflite", place / "float.tflite"
    shutil.copy(originals / f"{name}.tflite", path)
    shutil.copy(originals / "float.tflite", twin)
    shutil.copy(originals / "images.npz", place)
    value = record(path, twin, "float32" if name == "web" else "int8")
    value = value | ({"dataset": "images.npz"} if dice.random() < 0.5 else {})
    if dice.random() < 0.15:
        value = old_record(value)
    change = change_json if dice.random() < 0.5 else change_kindly
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        change(value, dice)
    path.with_suffix(".json").write_bytes(json_text(value, dice, _secret(place)))
    form, key = dice.choice(["md", "json", "html"]), originals / "key.pem"
    commands = [
        *[["report", "m.json", "--out", f"out.{form}", "--title", "\x1b[31m"]] * 3,
        ["report", "m.json", "--format", "md"],
        *[["compare", path, "--samples", 2, *(["--json"] * dice.randrange(2))]] * 3, ["debug", path, "--samples", 2],
        ["check", "m.json"], ["check", path, "--target", "litert", "--json"], ["serve", path, "--port", 0, "--collect"],
        ["serve", path, "--port", 0], ["demo", path, "--out", "out.apk", "--key", key],
        ["profile", path, "--on", "adb"],
        ["bench", path, "--max-seconds", 0.01],
    ]  # fmt: skip
    return Case(name, dice.sample(commands, 2), ("out", "m.json", ".tfeff-"))


# --- folders ---


def make_folder(seed: str, originals: Path, place: Path) -> Case:
    """A folder of images, a table or arrays."""
    dice = random.Random(seed)
    if dice.random() < 0.3:
        data = place / "d.npz"
        what = write_arrays(data, dice)
    else:
        data = place / "d"
        what = write_folder(data, dice)
        if (data / "labels.csv").is_file() and dice.random() < 0.5:
            data = data / "labels.csv"
    int8, web, twin = (originals / f"{name}.tflite" for name in ("int8", "web", "float"))
    one = dice.choice([each for each in sorted(place.rglob("*")) if not each.is_dir() and each.exists()])
    commands = [
        *[["compare", int8, "--dataset", data, "--no-record"]] * 3, ["debug", int8, "--images", data, "--samples", 4],
        ["debug", int8, "--images", data, "--samples", 1, "--json"], ["serve", web, "--port", 0, "--samples", data],
        ["debug", int8, "--images", data, "--samples", 1, "--json"], ["serve", web, "--port", 0, "--samples", data],
        ["serve", web, "--port", 0, "--samples", data], ["compare", int8, "--dataset", data, "--no-record"],
        ["compare", int8, "--against", twin, "--dataset", data, "--no-record", "--json", "--max-drop", 1],
        ["demo", web, "--out", "out.apk", "--key", originals / "key.pem", "--image", one],
        ["demo", web, "--out", "out.apk", "--key", one],
    ]  # fmt: skip
    return Case(what, dice.sample(commands, 2), ("out", ".tfeff-"))


# --- models ---


def _prepare_models(folder: Path) -> None:
    write_originals(folder)
    write_models(folder)


def make_model(seed: str, originals: Path, place: Path) -> Case:
    """A Keras file, a preset or weights; modules that names in them could mean lie in the working folder."""
    dice = random.Random(seed)
    for name in ("keras_cv", "keras_hub", "mine"):
        (place / f"{name}.py").write_text("open('executed', 'w').close()")
    kind = dice.choice(["keras", "keras", "h5", "preset", "preset", "preset", "weights"])
    images = originals / "images.npz"
    if kind in ("keras", "h5"):
        what = write_keras(place / f"m.{kind}", originals, dice)
        command = ["info", f"m.{kind}", *dice.choice([[], ["--cost"], ["--json"]])]
        if dice.random() < 0.06:
            command = ["calibrate", f"m.{kind}", "--calibration", images, "--audit", "--mean", 128, "--std", 128]
    elif kind == "preset":
        what, command = write_preset(place, originals, dice), ["info", "p.json"]
        if dice.random() < 0.06:
            command = ["calibrate", "p.json", "--calibration", images, "--audit"]
    else:
        what = write_weights(place / "w.npz", originals, dice)
        command = ["import-weights", "w.npz", "--network", NETWORK, "--out", "out.npz"]
    return Case(what, [command], ("out", ".tfeff-"))


# --- export and train ---


def make_making(seed: str, originals: Path, place: Path) -> Case:
    """What `export` and `train` read."""
    dice = random.Random(seed)
    export = dice.random() < 0.5
    what, command = making.make_export(dice, originals, place, _mutant) if export else making.make_training(
        dice, originals, place
    )  # fmt: skip
    return Case(what, [command], ("out", ".tfeff-"))


def _prepare_making(folder: Path) -> None:
    write_originals(folder)
    making.prepare(folder)


KINDS = {
    "files": Kind(make_file), "records": Kind(make_record), "folders": Kind(make_folder),
    "models": Kind(make_model, _prepare_models), "making": Kind(make_making, _prepare_making),
}  # fmt: skip
