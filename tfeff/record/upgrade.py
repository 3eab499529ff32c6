"""From a record of schema 1 to one of schema 2: one image in, one list of logits out, said in ports and tasks."""

from typing import Any

_COMPILED = ("file", "sha256", "size_bytes", "compiler", "version", "accelerator", "estimates")


def upgrade(record: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 1 as schema 2 says the same; keys that neither knows are handed on, for the decoder to name."""
    record = dict(record)
    record["schema_version"] = 2
    image, output = record.pop("input", None), record.pop("output", None)
    preprocessing, labels = record.pop("preprocessing", None), record.pop("labels", None)
    record["inputs"] = [_port(image, "image", preprocessing)] if image else []
    record["outputs"] = [_port(output, "logits", None)] if output else []
    name = record["outputs"][0]["name"] if output else "logits"
    record["tasks"] = [
        {
            "name": "classification", "outputs": [name], "labels": labels or [],
            "decode": {"kind": "classes", "scores": "logits"},
        }
    ]  # fmt: skip
    accuracy = record.pop("accuracy", None)
    record["accuracy"] = [_accuracy(accuracy, name)] if accuracy else []
    record["ports"] = [_agreement(accuracy, name)] if accuracy and "output_snr_db" in accuracy else []
    if isinstance(record.get("compiled"), dict):
        compiled = record["compiled"]
        record["compiled"] = {key: compiled[key] for key in _COMPILED if key in compiled}
        record["compiled"]["details"] = {key: value for key, value in compiled.items() if key not in _COMPILED}
    if isinstance(record.get("calibration"), dict):
        record["calibration"] = _calibration(record["calibration"])
    quantization = record.get("quantization")
    if isinstance(quantization, dict) and isinstance(quantization.get("kept_float"), dict):
        kept = dict(quantization["kept_float"])
        if kept.get("all_int8"):
            kept["all_int8"] = [_accuracy(kept["all_int8"], name)]
        record["quantization"] = {**quantization, "kept_float": kept}
    for key in ("rewrites", "latency", "notes"):
        record[key] = record.get(key) or []
    return {key: value for key, value in record.items() if value is not None or key not in _NEVER_NULL}


# Null in some old records, never in new ones: their defaults stand in.
_NEVER_NULL = ("versions", "gates")


def _port(door: dict[str, Any], name: str, preprocessing: Any) -> dict[str, Any]:
    """The old `input` or `output`, which had no scale where it was float."""
    known = {"name": name, "shape": [], "dtype": "", **door}
    return {**known, "scale": known.get("scale") or 0.0, "zero_point": known.get("zero_point") or 0,
            "preprocessing": preprocessing}  # fmt: skip


def _accuracy(old: dict[str, Any], output: str) -> dict[str, Any]:
    taken = ("delta", "ci95", "samples", "dataset", "quantized_sha256", "float_sha256", "runtime", "version")
    new = {key: old[key] for key in taken if key in old}
    return {
        "task": "classification", "outputs": [output], "metric": "top-1", "unit": "%", "higher_is_better": True,
        "float": old["float_top1"], "quantized": old["quantized_top1"], **new,
        "p": old.get("mcnemar_p"), "test": "McNemar, exact" if "mcnemar_p" in old else None,
        "worst": [_group(row) for row in old.get("worst_classes") or []],
        "groups": [_group(row) for row in old.get("by_class") or []],
        "details": {"flips": old["flips"]} if "flips" in old else {},
    }  # fmt: skip


def _group(row: dict[str, Any]) -> dict[str, Any]:
    before, after = row["float_top1"], row["quantized_top1"]
    return {"label": row["label"], "float": before, "quantized": after, "delta": row.get("delta", after - before),
            "samples": row["samples"]}  # fmt: skip


def _agreement(old: dict[str, Any], output: str) -> dict[str, Any]:
    return {"name": output, "reference": "float file", "samples": old["samples"], "source": old["dataset"],
            "sqnr_db": old["output_snr_db"]}  # fmt: skip


def _calibration(old: dict[str, Any]) -> dict[str, Any]:
    """Findings were lines of text once, and what `auto` tried had a divergence in nats."""
    new = dict(old)
    new["findings"] = [
        {"code": "", "severity": "note", "text": each} if isinstance(each, str) else each
        for each in old.get("findings") or []
    ]
    new["left_out"] = old.get("left_out") or []
    if old.get("tried"):
        new["criterion"] = "divergence of the class scores, nats an image"
        new["tried"] = [{"method": each["method"], "loss": each["divergence"]} for each in old["tried"]]
    return new
