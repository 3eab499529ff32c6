"""How well detection's criterion of calibration follows mAP.

    python benchmarks/detection_criterion.py PRESET [--scenes 400] [--write]

The float network of a trained preset answers test scenes of its dataset. Its raw heads are then spoilt in known ways,
as int8 does and worse: rounded to steps of several sizes, all outputs or only boxes or only scores; noise of a constant
size or in proportion to the values; levels moved against each other; ends clipped off. Of each it is measured what it
costs in mAP on the annotations, which the criterion does not see, and what it is by the criterion, part by part, and by
the error of the outputs, which was the criterion before. What is printed: the weights of both parts by which the loss
follows the drop best (least squares, of drops of 0.5 to 30 %), and rank correlations of drop and loss.
"""

import argparse
import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tfeff.data import Subset, open_dataset
from tfeff.presets import load_preset
from tfeff.tasks import get_task
from tfeff.tasks.criteria import OutputError
from tfeff.tasks.detection_criterion import DetectionError
from tfeff.tasks.detection_spec import read_spec

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "detection_criterion.json"


def answers(preset, count: int):
    """Raw heads of the float network for scenes, one {name: (h, w, values)} each, its task, and the annotations."""
    from tfeff.cli.model import _named

    model = preset.build()
    meant = _named(model, preset.network, preset.preprocessing, preset.arguments, labels=preset.labels)
    (task,) = meant.tasks
    whole = open_dataset(preset.dataset, "test", labelled=True)
    dataset = Subset(whole, np.arange(min(count, len(whole))))
    pre, heads = preset.preprocessing, []
    for first in range(0, len(dataset), 50):
        images = [dataset.image(number) for number in range(first, min(first + 50, len(dataset)))]
        made = model.predict_on_batch(pre.normalize(np.stack([pre.pixels(image) for image in images])))
        heads += [{name: np.asarray(made[name][n]) for name in task.outputs} for n in range(len(images))]
    return heads, task, get_task("detection").annotations(dataset, task, [])


def spoilt_ways(heads, task):
    """{name: what it makes of {output: values}}"""
    spread = {name: (min(float(each[name].min()) for each in heads), max(float(each[name].max()) for each in heads))
              for name in task.outputs}  # fmt: skip
    deviation = {name: float(np.std([each[name] for each in heads])) for name in task.outputs}

    def rounded(levels, kinds):
        def spoil(outputs, random):
            made = {}
            for name, values in outputs.items():
                low, high = spread[name]
                step = (high - low) / levels
                chosen = name.startswith(kinds)
                made[name] = (np.round(values / step) * step).astype(np.float32) if chosen else values
            return made

        return spoil

    def noisy(size, kinds):
        def spoil(outputs, random):
            return {name: values + random.normal(0, size * deviation[name], values.shape).astype(np.float32)
                    if name.startswith(kinds) else values for name, values in outputs.items()}  # fmt: skip

        return spoil

    def scaled(size, kinds):
        def spoil(outputs, random):
            return {name: values * (1 + random.normal(0, size, values.shape)).astype(np.float32)
                    if name.startswith(kinds) else values for name, values in outputs.items()}  # fmt: skip

        return spoil

    def moved(size):
        """Each level's scores by a number of its own."""
        by = {name: size * (-1) ** number for number, name in enumerate(sorted(task.outputs))}
        return lambda outputs, random: {
            name: values + by[name] * (np.arange(values.shape[-1]) % 2) if name.startswith("scores") else values
            for name, values in outputs.items()
        }

    def clipped(share, kinds):
        def spoil(outputs, random):
            return {name: np.clip(values, spread[name][0] * share, spread[name][1] * share)
                    if name.startswith(kinds) else values for name, values in outputs.items()}  # fmt: skip

        return spoil

    both, ways = ("boxes", "scores"), {}
    for word, kinds in (("all", both), ("boxes", ("boxes",)), ("scores", ("scores",))):
        ways |= {f"{word} in {levels} steps": rounded(levels, kinds) for levels in (128, 64, 32, 16)}
        ways |= {f"{word}, noise of {size:g} deviations": noisy(size, kinds) for size in (0.05, 0.1, 0.2, 0.4)}
        ways |= {f"{word}, each by {100 * size:g} %": scaled(size, kinds) for size in (0.05, 0.2)}
        ways |= {f"{word}, ends at {share:g}": clipped(share, kinds) for share in (0.8, 0.6, 0.4)}
    return ways | {f"scores moved by {size:g}": moved(size) for size in (0.2, 0.5, 1.0)}


def value(outputs, task, annotations) -> float:
    """mAP in percent."""
    detection = get_task("detection")
    metric = detection.metric(task)
    for each, annotation in zip(outputs, annotations, strict=True):
        metric.add(detection.decode(each, task), annotation)
    return metric.value()


def ranks(values) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def correlation(one, other) -> float:
    """Spearman's."""
    return round(float(np.corrcoef(ranks(one), ranks(other))[0, 1]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", help="Its name, or the path of its .json.")
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    preset = load_preset(given.preset)
    heads, task, annotations = answers(preset, given.scenes)
    criterion, before = DetectionError(read_spec(task.decode)), OutputError(tuple(task.outputs))
    whole, random, rows = value(heads, task, annotations), np.random.default_rng(0), []
    for name, spoil in spoilt_ways(heads, task).items():
        spoilt = [spoil(each, random) for each in heads]
        terms = np.sum([criterion.terms(*both) for both in zip(heads, spoilt, strict=True)], axis=0)
        errors = [before.terms(*both) for both in zip(heads, spoilt, strict=True)]
        rows.append({
            "way": name, "drop": round(whole - value(spoilt, task, annotations), 3),
            "boxes": round(float(terms[1] / terms[2]), 6), "scores": round(float((terms[0] / terms[2]) ** 0.5), 6),
            "loss": criterion.loss([terms]), "output_error": before.loss(errors),
        })  # fmt: skip
        print(rows[-1], flush=True)
    drops = np.array([row["drop"] for row in rows]) / whole
    parts = np.array([[row["boxes"], row["scores"]] for row in rows])
    small = (drops > 0.005) & (drops < 0.3)  # what quantization may do
    fit = np.linalg.lstsq(parts[small], drops[small], rcond=None)[0]
    told = {
        "preset": preset.name, "weights_sha256": hashlib.sha256(preset.weights.read_bytes()).hexdigest(),
        "dataset": preset.dataset, "scenes": len(heads), "map": round(whole, 2), "rows": rows,
        "fit": [round(float(part), 3) for part in fit], "ways_fitted": int(small.sum()),
        "rank_correlation": {
            "criterion": correlation(drops, [row["loss"] for row in rows]),
            "error of the outputs": correlation(drops, [row["output_error"] for row in rows]),
        },
        "correlation": {
            name: round(float(np.corrcoef(drops, [row[key] for row in rows])[0, 1]), 3)
            for name, key in (("criterion", "loss"), ("error of the outputs", "output_error"))
        },
        "versions": f"tfeff {version('tfeff')}, tensorflow {version('tensorflow')}, {platform.machine()}",
    }  # fmt: skip
    print(json.dumps({key: each for key, each in told.items() if key != "rows"}, indent=1))
    if given.write:
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        kept = [each for each in known if each["preset"] != told["preset"]]
        RESULTS.write_text(json.dumps([*kept, told], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
