"""Records as `tfeff export`, `compare`, `bench` and `debug` write them, with figures of our own, and files to go with
them."""

import hashlib
import json
import struct

from tfeff.report import read_reported

# An empty model: the root table, whose vtable has no field.
_EMPTY = struct.pack("<I4sHHII", 20, b"TFL3", 4, 4, 0, 0) + struct.pack("<i", 20 - 8)
FLOAT, QUANTIZED = _EMPTY + b"float", _EMPTY + b"int8"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def record(name="net.int8", *, data=QUANTIZED, top1=(91.0, 90.5), samples=1000, latency=0.25, labels=("shoe", "bag")):
    """A whole record; half of the images are of each class, the first loses what there is to lose."""
    own, twin = sha256(data), sha256(FLOAT)
    before, after = top1
    half = samples // 2
    groups = [
        {"label": labels[0], "float": before, "quantized": 2 * after - before, "delta": 2 * (after - before),
         "samples": half},
        {"label": labels[1], "float": before, "quantized": before, "delta": 0.0, "samples": half},
    ]  # fmt: skip
    return {
        "schema_version": 2,
        "network": "net_100",
        "preset": "net_100.shoes",
        "target": "litert",
        "file": f"{name}.tflite",
        "sha256": own,
        "size_bytes": len(data),
        "float_twin": {
            "file": f"{name}.twin.tflite", "sha256": twin, "size_bytes": len(FLOAT), "rewrites": [],
            "max_abs_error": 1e-6, "relative_error": 2e-7,
        },
        "inputs": [
            {"name": "image", "shape": [1, 32, 32, 3], "dtype": "int8", "scale": 0.0078125, "zero_point": 0,
             "preprocessing": {
                 "resize": {"mode": "exact", "height": 32, "width": 32, "filter": "bilinear"},
                 "crop": {"mode": "center", "height": 32, "width": 32},
                 "colour": "rgb", "mean": [128.0] * 3, "std": [128.0] * 3,
             }},
        ],
        "outputs": [{"name": "logits", "shape": [1, 2], "dtype": "int8", "scale": 0.05, "zero_point": 3}],
        "tasks": [
            {"name": "classification", "outputs": ["logits"], "labels": list(labels),
             "decode": {"kind": "classes", "scores": "logits"}},
        ],
        "precision": "int8",
        "weights": "trained",
        "dataset": "shoes",
        "ops": {
            "total": 12, "int8": 11, "float": ["SOFTMAX (last)"], "by_name": {"CONV_2D": 8, "ADD": 3, "SOFTMAX": 1},
        },
        "parameters": 4321,
        "macs": 987654,
        "rewrites": [
            {"name": "group_conv", "form": "split", "places": 3, "max_abs_error": 1.5e-6, "relative_error": 3e-7,
             "because": "no kernel for groups"},
        ],
        "proof": {"inputs": 16, "source": "shoes"},
        "calibration": {
            "source": "shoes", "found": 64, "used": 64, "method": "mse",
            "findings": [{"code": "narrow", "severity": "note", "text": "one layer is narrow", "images": []}],
        },
        "quantization": {
            "quantizer": "graph", "per_tensor": False, "simulation": {"images": 16, "units": 12, "max_lsb": 1},
        },
        "accuracy": [
            {
                "task": "classification", "outputs": ["logits"], "metric": "top-1", "unit": "%",
                "higher_is_better": True, "dataset": "shoes", "samples": samples, "float": before, "quantized": after,
                "delta": after - before, "ci95": [after - before - 0.4, after - before + 0.4], "p": 0.2,
                "test": "McNemar, exact", "worst": [groups[0]], "groups": groups, "details": {"flips": 1.5},
                "quantized_sha256": own, "float_sha256": twin, "runtime": "litert", "version": "2.3.0",
            },
        ],
        "ports": [
            {"name": "logits", "reference": "float file", "samples": samples, "source": "shoes", "sqnr_db": 25.5,
             "max_abs_error": 0.125, "cosine": 0.9991},
        ],
        "latency": [
            {
                "device": "local", "cpu": "Some CPU", "runtime": "ai-edge-litert", "version": "2.3.0", "threads": 1,
                "xnnpack": True, "median_ms": latency, "ci95_ms": [latency * 0.98, latency * 1.03],
                "p90_ms": latency * 1.2, "quantiles_ms": [latency * q for q in (0.9, 0.95, 1, 1.1, 1.3)], "runs": 4000,
                "rounds": 15, "kernels": {"xnnpack": "all", "delegated": 12, "total": 12, "left": []}, "sha256": own,
                "of_float": {"ratio": 0.42, "ci95": [0.41, 0.435], "verdict": "faster", "sha256": twin},
            },
        ],
        "debug": {
            "sha256": own, "float_sha256": twin, "reference": "float file", "images": "shoes", "samples": 32,
            "output_sqnr_db": 24.0, "notes": [], "runtime": "litert", "version": "2.3.0",
            "simulation": {"agrees": True},
            "layers": [layer(n) for n in range(8)],
        },
        "check": {
            "target": "litert", "basis": "predicted", "ok": True, "mapped": 12, "total": 12, "problems": [],
            "first_break": None, "facts": {"xnnpack_left": 0}, "notes": [],
            "operations": [
                {"op": "CONV_2D", "count": 8, "status": "mapped", "reason": "", "mend": "", "first": "stem"},
            ],
        },
        "compiled": None,
        "gates": {"max_drop": None, "max_latency_ms": None, "failed": []},
        "notes": [],
        "command": "tfeff export net_100.shoes --int8",
        "versions": {"tfeff": "0.1.0", "python": "3.11.7"},
    }  # fmt: skip


def old_record(name="net.int8", **options):
    """The same record as tfeff wrote it before schema 2."""
    made = record(name, **options)
    (image,), (logits,), (task,), (accuracy,), (port,) = (
        made.pop(key) for key in ("inputs", "outputs", "tasks", "accuracy", "ports")
    )
    rows = [
        {
            "label": row["label"],
            "float_top1": row["float"],
            "quantized_top1": row["quantized"],
            "samples": row["samples"],
        }
        for row in accuracy["groups"]
    ]
    kept = ("dataset", "samples", "delta", "ci95", "quantized_sha256", "float_sha256", "runtime", "version")
    return made | {
        "schema_version": 1, "preprocessing": image.pop("preprocessing"), "input": image, "output": logits,
        "labels": task["labels"],
        "accuracy": {
            **{key: accuracy[key] for key in kept}, "float_top1": accuracy["float"],
            "quantized_top1": accuracy["quantized"], "mcnemar_p": accuracy["p"], "flips": 1.5,
            "output_snr_db": port["sqnr_db"], "worst_classes": rows[:1], "by_class": rows,
        },
    }  # fmt: skip


def several(name="several.int8", *, mae=(0.5, 0.625), latency=0.25):
    """A record of two inputs and two outputs: one a classification of several labels, one three numbers."""
    made = record(name, latency=latency)
    labels, depth = made["accuracy"][0], dict(made["accuracy"][0])
    labels |= {"outputs": ["labels"], "metric": "mean F1", "p": 0.03, "test": "bootstrap"}
    before, after = mae
    row = {"float": before, "quantized": after, "delta": after - before, "samples": depth["samples"]}
    depth |= {
        "task": "regression", "outputs": ["depth"], "metric": "MAE", "unit": "m", "higher_is_better": False,
        "float": before, "quantized": after, "delta": after - before,
        "ci95": [after - before - 0.1, after - before + 0.1],
        "test": "sign flips", "details": {"r2": {"float": 0.9, "quantized": 0.875}},
        "groups": [row | {"label": "x"}, row | {"label": "y", "quantized": before, "delta": 0.0}], "worst": [],
    }  # fmt: skip
    ports = [made["ports"][0] | {"name": name} for name in ("labels", "depth")]
    ports.append({"name": "rank", "reference": "float file", "samples": 1000, "source": "shoes", "equal_share": 0.75})
    return made | {
        "inputs": [*made["inputs"], {"name": "words", "shape": [1, 16], "dtype": "int32"}],
        "outputs": [
            {"name": "labels", "shape": [1, 2], "dtype": "int8", "scale": 0.00390625, "zero_point": -128},
            {"name": "depth", "shape": [1, 2], "dtype": "int8", "scale": 0.5, "zero_point": 0},
            {"name": "rank", "shape": [1], "dtype": "int32"},
        ],
        "tasks": [
            {"name": "classification", "outputs": ["labels"], "labels": ["shoe", "bag"],
             "decode": {"kind": "multi-label", "scores": "probabilities"}},
            {"name": "regression", "outputs": ["depth"], "labels": ["x", "y"]},
            {"name": "tensors", "outputs": ["rank"]},
        ],
        "accuracy": [labels, depth], "ports": ports,
    }  # fmt: skip


def nameless(name="plain.int8"):
    """A record of a model that nobody described: its outputs are compared as numbers."""
    made = record(name)
    return made | {"tasks": [{"name": "tensors", "outputs": ["logits"]}], "accuracy": []}


def layer(position, name=None, error_share=None, clipped=None, local=None):
    return {
        "position": position, "layer": name or f"block{position}", "op": "CONV_2D", "scale": 0.1, "zero_point": -3,
        "range": [-12.5, 13.0], "seen": [-10.0, 13.0], "sqnr_db": 30.0 - position,
        "local_sqnr_db": 40.0 - position if local is None else local, "range_use": 0.9 - 0.1 * (position % 8),
        "clipped_share": position / 1000 if clipped is None else clipped,
        "error_share": (position - 2) / 20 if error_share is None else error_share, "error_share_se": 0.01,
    }  # fmt: skip


def write(folder, made=None, *, data=QUANTIZED):
    """Writes a record and its two files; the record's path."""
    made = made or record()
    path = folder / made["file"].replace(".tflite", ".json")
    (folder / made["file"]).write_bytes(data)
    (folder / made["float_twin"]["file"]).write_bytes(FLOAT)
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


HOSTILE = (
    '<img src=x onerror="document.title=1">', "</title></svg><script>document.title=2</script>",
    "\" onload='alert(3)' x=\"",
    "&lt;b&gt;&amp;", "a|b`c``[d](http://evil.example/e)![f](http://evil.example/g)", "line\nbreak\x00\x1b[31m",
    "\u202egnp.exe", "\ud800 half", "]]><!-- -->",
)  # fmt: skip


def poisoned(text):
    """A record in which every text that may be anything says the same."""
    made = record(labels=(text, text + " "))
    for key in ("network", "preset", "target", "precision", "dataset", "command"):
        made[key] = text
    made["notes"], made["versions"] = [text], {text: text}
    made["accuracy"][0] |= {"dataset": text, "metric": text, "unit": text, "test": text, "details": {"flips": text}}
    made["accuracy"][0] |= {"task": text, "outputs": [text]}
    made["tasks"][0] |= {"name": text, "outputs": [text], "decode": {"kind": text}}
    made["inputs"][0]["name"] = made["outputs"][0]["name"] = text
    made["ports"][0] |= {"name": text, "reference": text, "source": text}
    made["calibration"] |= {"source": text, "method": text, "criterion": text}
    made["calibration"]["tried"] = [{"method": text, "loss": 0.5}]
    made["debug"] |= {"output": text, "ports": made["ports"] * 2}
    made["calibration"]["findings"][0] |= {"text": text, "severity": text}
    made["latency"][0] |= {"device": text, "cpu": text, "runtime": text}
    made["latency"][0]["kernels"] = {
        "xnnpack": "partly",
        "delegated": 1,
        "total": 2,
        "left": [{"op": text, "count": 1}],
    }
    made["debug"]["images"] = text
    for row in made["debug"]["layers"]:
        row |= {"layer": text, "op": text}
    made["check"]["operations"][0] |= {"op": text, "status": text, "reason": text, "mend": text}
    made["check"] |= {
        "problems": [{"reason": text, "mend": text}],
        "facts": {text: text},
        "notes": [text],
        "basis": text,
    }
    made["rewrites"][0] |= {"name": text, "form": text, "because": text}
    made["ops"] |= {"float": [text], "by_name": {text: 12}}
    made["gates"]["failed"] = [text]
    if "/" not in text and "\0" not in text:
        made["file"] = text + ".tflite"
    return made


def in_json(tmp_path, made):
    """The record as a file has it, without the artifact: its name may be none that a disk takes."""
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    return read_reported([path])
