"""Detectors' specs and outputs, for the tests of what is made of them."""

import numpy as np

from tfeff.tasks.detection_spec import read_spec

THRESHOLDS = {"score_threshold": 0.025, "iou_threshold": 0.6, "per_class": 1000, "keep": 100}


def distances_spec(size, classes, strides, bins, score="sigmoid", **thresholds):
    """As PicoDet has it: maps of a stride each, rounded up."""
    size = (size, size) if isinstance(size, int) else size
    levels = []
    for stride in strides:
        rows, columns = (-(-side // stride) for side in size)
        alignment = {"alignment": f"align_{stride}"} if score == "aligned" else {}
        levels.append({"stride": stride, "rows": rows, "columns": columns, "step": [stride, stride],
                       "boxes": f"boxes_{stride}", "scores": f"scores_{stride}", **alignment})  # fmt: skip
    return read_spec({"kind": "distances", "size": size, "classes": classes, "levels": levels, "bins": bins,
                      "score": score, **THRESHOLDS, **thresholds})  # fmt: skip


def anchors_spec(size, classes, kind="anchors", score="softmax", **more):
    """Two maps of other proportions than the image's, two and one anchors a place."""
    levels = []
    for rows, columns, anchors in ((4, 7, [(20, 20), (35, 17.5)]), (2, 3, [(40, 50)])):
        first = {"first_boxes": f"first_{rows}", "first_scores": f"object_{rows}"} if kind == "refined" else {}
        levels.append({
            "stride": 60 // rows, "rows": rows, "columns": columns, "step": [size[0] / rows, size[1] / columns],
            "boxes": f"boxes_{rows}", "scores": f"scores_{rows}", "anchors": anchors, **first,
        })  # fmt: skip
    return read_spec({"kind": kind, "size": size, "classes": classes, "levels": levels, "score": score,
                      "variances": [0.1, 0.1, 0.2, 0.2], **THRESHOLDS, **more})  # fmt: skip


def ssdlite_320(**thresholds):
    """torchvision's SSDLite320: 3,234 anchors of 6 maps."""
    scales = [0.2 + 0.75 * k / 5 for k in range(6)] + [1.0]
    levels = []
    for k, rows in enumerate((20, 10, 5, 3, 2, 1)):
        between = (scales[k] * scales[k + 1]) ** 0.5
        sizes = [(scales[k], scales[k]), (between, between)]
        for ratio in (2, 3):
            wide, narrow = scales[k] * ratio**0.5, scales[k] / ratio**0.5
            sizes += [(wide, narrow), (narrow, wide)]
        levels.append({
            "stride": 320 // rows, "rows": rows, "columns": rows, "step": [320 / rows] * 2, "boxes": f"boxes_{k}",
            "scores": f"scores_{k}", "anchors": [[min(side, 1.0) * 320 for side in size] for size in sizes],
        })  # fmt: skip
    return read_spec({
        "kind": "anchors", "size": [320, 320], "classes": 90, "levels": levels, "score": "softmax", "clip": True,
        "variances": [0.1, 0.1, 0.2, 0.2], "max_log_size": float(np.log(1000 / 16)), **THRESHOLDS, **thresholds,
    })  # fmt: skip


def shapes(spec):
    """{output: (rows, columns, values)}."""
    found = {}
    for level in spec.levels:
        anchors = max(1, len(level.anchors))
        widths = {level.boxes: 4 * max(1, spec.bins), level.scores: spec.channels, level.alignment: 1,
                  level.first_boxes: 4, level.first_scores: 2}  # fmt: skip
        found |= {name: (level.rows, level.columns, anchors * width) for name, width in widths.items() if name}
    return found


def random_outputs(spec, seed, scale=1.5):
    random = np.random.default_rng(seed)
    return {name: random.normal(0, scale, shape).astype(np.float32) for name, shape in shapes(spec).items()}
