"""Records as `tfeff export`, `compare`, `bench` and `debug` write them, with figures of our own, and files to go with
them."""

import hashlib
import json
import struct

from tfeff.report import read_subjects

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
    by_class = [
        {"label": labels[0], "float_top1": before, "quantized_top1": 2 * after - before, "samples": half},
        {"label": labels[1], "float_top1": before, "quantized_top1": before, "samples": half},
    ]
    return {
        "schema_version": 1,
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
        "input": {"name": "image", "shape": [1, 32, 32, 3], "dtype": "int8", "scale": 0.0078125, "zero_point": 0},
        "output": {"name": "logits", "shape": [1, 2], "dtype": "int8", "scale": 0.05, "zero_point": 3},
        "preprocessing": {"colour": "rgb", "mean": [128.0], "std": [128.0]},
        "labels": list(labels),
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
        "accuracy": {
            "dataset": "shoes", "samples": samples, "float_top1": before, "quantized_top1": after,
            "delta": after - before, "ci95": [after - before - 0.4, after - before + 0.4], "mcnemar_p": 0.2,
            "flips": 1.5, "output_snr_db": 25.5, "worst_classes": [by_class[0]], "by_class": by_class,
            "quantized_sha256": own, "float_sha256": twin, "runtime": "litert", "version": "2.3.0",
        },
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
            "simulation": {"agrees": True, "top1_agreement": 1.0},
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
    made["accuracy"]["dataset"] = made["calibration"]["source"] = made["calibration"]["method"] = text
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
    return read_subjects([path])
