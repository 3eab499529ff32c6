"""Outputs and what `tfeff.tasks` makes of them, in a file that the tests of Python, JavaScript and Java all read.

python tests/support/decode_vectors.py   writes decode_vectors.json anew, after a change of a task
"""

import json
from pathlib import Path

import numpy as np
from detection_specs import anchors_spec, distances_spec, random_outputs

from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task

FILE = Path(__file__).with_name("decode_vectors.json")
CLOTHES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt"]
# Where `%.4g` is easily wrong: exact halves, the ends of its two forms, carries, a sign of zero.
AWKWARD = [0.0, -0.0, 1.0, -2.5, 1000.5, 1001.5, 2.0625, -2.0625, 9999.5, 9998.5, 12345.0, 123456.0, 0.0001, 0.00001,
           0.00012345, 9.9995, 99999.9, 1e22, -1e-30, 3.4e38, 0.1, 1 / 3, 1e-45]  # fmt: skip


def cases():
    """(name, task, outputs) of each."""
    random = np.random.default_rng(14)

    def classes(labels=(), output="logits", **decode):
        return TaskSpec(name="classification", outputs=[output], labels=list(labels), decode=decode)

    def values(*numbers):
        return np.float32([numbers])[0]

    logits = random.normal(0, 3, 7).astype(np.float32)
    yield "logits", classes(CLOTHES, kind="classes", scores="logits"), {"logits": logits}
    yield "nothing said of the decoding", classes(CLOTHES), {"logits": logits}
    yield "without labels", classes(kind="classes", scores="logits"), {"logits": logits[:3]}
    yield "equal logits", classes(kind="classes", scores="logits"), {"logits": values(1, 3, 3, -1, 3, 3, 3)}
    yield "large logits", classes(kind="classes", scores="logits"), {"logits": values(1000, 998.5, -1000, 88, 0, 1, 2)}
    yield (
        "int8 steps",
        classes(CLOTHES, scores="logits"),
        {"logits": np.float32([-7, 12, 12, 3, 0, -1, 9]) * np.float32(0.173)},
    )
    yield "a shape with ones", classes(kind="classes", scores="logits"), {"logits": logits.reshape(1, 1, 7)}
    shares = np.exp(logits) / np.exp(logits).sum()
    yield "probabilities", classes(CLOTHES, "probabilities", scores="probabilities"), {"probabilities": shares}
    yield (
        "probabilities in steps of 1/256",
        classes(scores="probabilities"),
        {"logits": values(0.25, 0.5, 0.24609375, 0)},
    )
    yield "scores not said, shares", classes(kind="classes"), {"logits": values(0.25, 0.5, 0.24609375, 0)}
    yield "scores not said, no shares", classes(kind="classes"), {"logits": values(0.25, 0.5, 0.375, 0)}
    for number, value in enumerate((-900, -0.75, 0.0, 0.5, 900)):
        spec = classes(("cat", "dog"), kind="binary", scores="logits", threshold=0.6)
        yield f"binary logit {number}", spec, {"logits": values(value)}
    yield "binary at its threshold", classes(kind="binary", scores="logits"), {"logits": values(0)}
    yield "binary probability", classes(kind="binary", scores="probabilities", threshold=0.25), {"logits": values(0.3)}
    multi = {"kind": "multi-label", "scores": "logits"}
    yield "labels", classes(CLOTHES, threshold=0.4, **multi), {"logits": values(-0.5, -0.3, 0, 4, -4, 0.1, -0.41)}
    yield "no label", classes(**multi), {"logits": values(-1, -2, -3)}
    yield "label probabilities", classes(kind="multi-label", scores="probabilities"), {"logits": values(0.5, 0.625, 0)}

    def regression(*labels):
        return TaskSpec(name="regression", outputs=["age"], labels=list(labels))

    yield "one number", regression(), {"age": values(31.4159)}
    yield "one named number", regression("age"), {"age": values(-0.5)}
    yield "a pose", regression("yaw", "pitch", "roll"), {"age": random.normal(0, 30, 3).astype(np.float32)}
    yield "numbers of any rank", regression(), {"age": random.normal(size=(2, 3)).astype(np.float32)}
    yield "awkward numbers", regression(), {"age": np.float32(AWKWARD)}

    def detector(numbers, seed, *labels, **changes):
        outputs = random_outputs(numbers, seed, 2.0)
        decode = {**numbers.as_dict(), **changes}
        return TaskSpec(name="detection", outputs=numbers.outputs, labels=list(labels), decode=decode), outputs

    points = distances_spec((24, 32), 3, (8, 16), bins=4)
    yield "boxes", *detector(points, 20, "cat", "dog", "cow")
    yield "boxes without labels", *detector(points, 21, score_threshold=0.6, iou_threshold=0.3)
    yield "few boxes", *detector(points, 22, "cat", "dog", "cow", per_class=3, keep=5)
    yield "no box", *detector(points, 23, "cat", "dog", "cow", score_threshold=0.9999)
    yield "every score", *detector(points, 24, score_threshold=0.0)
    yield "aligned boxes", *detector(distances_spec((24, 32), 3, (8, 16), bins=4, score="aligned"), 25)
    yield "anchors", *detector(anchors_spec((60, 90), 2, clip=True, max_log_size=4.1), 26, "cat", "dog")
    yield "anchors, sigmoid", *detector(anchors_spec((60, 90), 2, score="sigmoid"), 27)
    yield "anchors moved twice", *detector(anchors_spec((60, 90), 2, kind="refined", objectness=0.4), 28)
    ended = anchors_spec((60, 90), 3, clip=True).as_dict() | {
        "listed": {"boxes": "location", "classes": "category", "scores": "score", "count": "number"}, "keep": 4,
    }  # fmt: skip
    shares = np.sort(np.random.default_rng(30).uniform(-0.1, 1.1, (4, 2, 2)), axis=1).reshape(4, 4).astype(np.float32)
    listed = TaskSpec(name="detection", outputs=list(ended["listed"].values()), labels=["a", "b", "c"], decode=ended)
    yield "a list of boxes", listed, {
        "location": shares, "category": values(2, 0, 2, 0), "score": values(0.9, 0.5, 0.31, 0), "number": values(3),
    }  # fmt: skip
    equal = TaskSpec(name="detection", outputs=points.outputs, decode=points.as_dict())
    steps = {name: np.round(each * 2) / 2 for name, each in random_outputs(points, 29).items()}
    yield "equal scores", equal, steps

    def tensors(*outputs):
        return TaskSpec(name="tensors", outputs=list(outputs))

    several = {
        "mask": random.normal(size=(2, 4, 3)).astype(np.float32), "count": np.int32([70000, -3]),
        "id": np.int64([2**40 + 1]), "scalar": np.array(0.25, np.float32), "eight": np.arange(8, dtype=np.float32),
        "__proto__": values(1, 2),
    }  # fmt: skip
    yield "several outputs", tensors("mask", "count", "id", "scalar", "eight", "__proto__"), several
    yield "some of the outputs, in another order", tensors("eight", "count"), several


def vectors():
    """What the file holds."""
    return [_vector(*case) for case in cases()]


def _vector(name, spec, outputs):
    task = get_task(spec.name)
    prediction = task.decode(outputs, spec)
    lines = task.draw(None, prediction, spec).lines
    return {
        "name": name,
        "task": {"name": spec.name, "outputs": spec.outputs, "labels": spec.labels, "decode": spec.decode},
        "outputs": {
            port: {"shape": list(each.shape), "dtype": each.dtype.name, "values": each.reshape(-1).tolist()}
            for port, each in outputs.items()
        },
        "decoded": _plain(prediction),
        "lines": [[text, score] for text, score in lines],
    }


def _plain(prediction):
    """Arrays as lists, by name where the prediction has parts."""
    if isinstance(prediction, np.ndarray):
        return prediction.reshape(-1).tolist()
    parts = prediction if isinstance(prediction, dict) else vars(prediction)
    return {name: _plain(part) for name, part in parts.items()}


if __name__ == "__main__":
    rows = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors())
    FILE.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
