"""Models, weights, states and annotated folders of strangers in `export` and `train`, as far as these read them.

TensorFlow's converter and the epochs themselves, which cost seconds each and see nothing of strangers that these did
not take first, are left out: where they would begin, the command ends as if it were done.
"""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from detector_files import LABELS

from fuzz.folders import write_arrays, write_folder
from fuzz.hostile import change_json, change_kindly, damaged, json_text
from fuzz.models import NETWORK, write_keras, write_models, write_weights

DETECTOR = "pico_det_pp_lcnet_050"


def prepare(folder: Path) -> None:
    """The originals; what comes after reading is taken out of the commands of this process."""
    from tfeff.export.quantize import Converter
    from tfeff.training import loop
    from tfeff.weights.metadata import KEY

    def left_out(*told: Any, **more: Any) -> Any:
        raise SystemExit(0)

    def first_batch(model: Any, batches: Any, *told: Any) -> Any:
        batches.start_epoch(0)
        batches[0]
        left_out()

    def built(recipe: Any, classes: int, before: Any = loop._built) -> Any:
        return left_out() if recipe.network == DETECTOR else before(recipe, classes)

    write_models(folder)
    (folder / "plain").mkdir()  # weights that say nothing of themselves
    with np.load(folder / "p.npz") as archive:
        np.savez(folder / "plain" / "p.npz", **{name: archive[name] for name in archive.files if name != KEY})
    Converter.convert = left_out  # type: ignore[method-assign]
    loop._fit, loop._built = first_batch, built


def make_export(dice: random.Random, originals: Path, place: Path, mutant: Any) -> tuple[str, list[Any]]:
    """(what was done, the command) of one export; `mutant` changes a `.tflite`."""
    (place / "out").mkdir()
    more = ["--out", "out/x.tflite", "--no-bench", "--samples", 2, "--calibration", originals / "images.npz"]
    pixels = ["--mean", 128, "--std", 128]
    kind = dice.choice(["keras", "keras", "h5", "tflite", "tflite"])
    if kind == "tflite":
        what, data = mutant(dice, originals, "float")
        (place / "m.tflite").write_bytes(data)
        return what, ["export", "m.tflite", *pixels, *more]
    what = write_keras(place / f"m.{kind}", originals, dice)
    return what, ["export", f"m.{kind}", *pixels, *more, *dice.choice([[], ["--float16"], ["--trust-lambda"]])]


def make_training(dice: random.Random, originals: Path, place: Path) -> tuple[str, list[Any]]:
    """The same of one training."""
    more = ["--epochs", 1, "--batch-size", 2, "--out", "out"]
    kind = dice.choice(["images", "arrays", "boxes", "boxes", "boxes", "state", "weights"])
    if kind == "boxes":
        return _annotated(place / "d", dice), ["train", DETECTOR, "--dataset", "d", "--input-size", 32, *more]
    what, data = "images", originals / "images.npz"
    if kind == "images":
        data = Path("d")
        what = write_folder(place / "d", dice)
    elif kind == "arrays":
        data = Path("d.npz")
        what = write_arrays(place / "d.npz", dice)
    elif kind == "weights":
        what = write_weights(place / "w.npz", originals / "plain", dice)
        more += ["--backbone", "w.npz"]
    else:
        (place / "out").mkdir()
        what = _state(place / "out" / "state.npz", dice)
    return what, ["train", NETWORK, "--dataset", data, "--input-size", 16, *more]


def _state(path: Path, dice: random.Random) -> str:
    """What an earlier run left, changed."""
    row = {"epoch": 1, "loss": 1.0, "validation_top1": 50.0}
    about = {"recipe": {"network": NETWORK, "seed": 0}, "history": [row]}
    change_json(about, dice)
    np.savez(path, about=np.array(json.dumps(about)), **{"model/0": np.zeros(3, np.float32)})
    if dice.random() < 0.3:
        path.write_bytes(damaged(path.read_bytes(), dice, [bytes(99)]))
    return "a state"


def _annotated(folder: Path, dice: random.Random) -> str:
    """Four images of which annotations in one of three forms say something that may be wrong."""
    from PIL import Image

    folder.mkdir()
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        Image.fromarray(np.frombuffer(dice.randbytes(16 * 16 * 3), np.uint8).reshape(16, 16, 3)).save(folder / name)
    form = dice.choice(["coco", "voc", "yolo"])
    if form == "coco":
        images = [{"id": n, "file_name": name, "height": 16, "width": 16} for n, name in enumerate(names)]
        boxes = [{"id": n, "image_id": n, "category_id": n % 2, "bbox": [1.0, 2.0, 8.0, 9.0], "iscrowd": 0}
                 for n in range(4)]  # fmt: skip
        value = {"images": images, "annotations": boxes,
                 "categories": [{"id": n, "name": name} for n, name in enumerate(LABELS)]}  # fmt: skip
        for _ in range(dice.choice([0, 1, 2])):
            dice.choice([change_json, change_kindly])(value, dice)
        (folder / "instances.json").write_bytes(json_text(value, dice, "/nonexistent"))
        return form
    (folder / "classes.txt").write_text("\n".join(LABELS))
    for number, name in enumerate(names):
        numbers = [dice.choice(["nan", "inf", "-1", "1e308", "9" * 5000, "x", ""]) if dice.random() < 0.03 else told
                   for told in ("2", "3", "9", "8")]  # fmt: skip
        if form == "yolo":
            text = f"{number % 2} {' '.join(f'0.{each}' if each.isdigit() else each for each in numbers)}\n"
        else:
            tags = ("xmin", "ymin", "xmax", "ymax")
            sides = "".join(f"<{tag}>{told}</{tag}>" for tag, told in zip(tags, numbers, strict=True))
            size = "<size><height>16</height><width>16</width></size>"
            thing = f"<object><name>{LABELS[number % 2]}</name><bndbox>{sides}</bndbox></object>"
            text = f"<annotation><filename>{name}</filename>{size}{thing}</annotation>"
        data = text.encode()
        data = damaged(data, dice, [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<a>" * 50]) if dice.random() < 0.1 else data
        (folder / name).with_suffix(".txt" if form == "yolo" else ".xml").write_bytes(data)
    if dice.random() < 0.2:
        shutil.rmtree(folder / "none", ignore_errors=True)
        (folder / names[0]).unlink()
    return form
