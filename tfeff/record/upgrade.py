"""From a record of schema 1 to one of schema 2: one image in, one list of logits out, said in ports and tasks."""

from typing import Any

_COMPILED = ("file", "sha256", "size_bytes", "compiler", "version", "accelerator", "estimates")
_REPLACED = ("float_top1", "quantized_top1", "mcnemar_p", "flips", "output_snr_db", "worst_classes", "by_class")


class Misshapen(ValueError):
    """A part of an old record is of another kind than schema 1 says."""


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 1 as schema 2 says the same; keys that neither knows are handed on for the decoder to name.

    Raises:
        Misshapen: a part that is rewritten here is not what schema 1 says; the others are left to the decoder.
    """
    record = {key: value for key, value in old.items() if value is not None}  # their defaults stand in
    record["schema_version"] = 2
    image, output = _object(record.pop("input", None), "input"), _object(record.pop("output", None), "output")
    preprocessing, labels = record.pop("preprocessing", None), record.pop("labels", [])
    record["inputs"] = [_port(image, "image", preprocessing)] if image else []
    record["outputs"] = [_port(output, "logits", None)] if output else []
    name = record["outputs"][0]["name"] if output else "logits"
    # Of a user's own model it was not said whether it ends in a softmax.
    decode = {"kind": "classes", "scores": "logits"} if record.get("preset") else {"kind": "classes"}
    record["tasks"] = [{"name": "classification", "outputs": [name], "labels": labels, "decode": decode}]
    accuracy = _object(record.pop("accuracy", None), "accuracy")
    if accuracy is not None:
        record["accuracy"] = [_accuracy(accuracy, name, "accuracy")]
        if "output_snr_db" in accuracy:
            record["ports"] = [_agreement(accuracy, name)]
    if compiled := _object(record.get("compiled"), "compiled"):
        details = {key: value for key, value in compiled.items() if key not in _COMPILED}
        record["compiled"] = {**{key: compiled[key] for key in _COMPILED if key in compiled}, "details": details}
    if calibration := _object(record.get("calibration"), "calibration"):
        record["calibration"] = _calibration(calibration)
    if quantization := _object(record.get("quantization"), "quantization"):
        record["quantization"] = _quantization(quantization, name)
    if debug := _object(record.get("debug"), "debug"):
        record["debug"] = _debug(debug)
    return record


def _object(value: Any, where: str) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise Misshapen(f"{where}: is not an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Misshapen(f"{where}: is not a list")
    return value


def _needed(value: Any, where: str, *keys: str) -> list[Any]:
    """Values of an object that must have these keys."""
    whole = _object(value, where) or {}
    if missing := [key for key in keys if key not in whole]:
        raise Misshapen(f"{where}.{missing[0]}: is missing")
    return [whole[key] for key in keys]


def _port(door: dict[str, Any], name: str, preprocessing: Any) -> dict[str, Any]:
    """The old `input` or `output`, which had no scale where it was float."""
    known = {"name": name, "shape": [], **door}
    return {**known, "scale": known.get("scale") or 0.0, "zero_point": known.get("zero_point") or 0,
            "preprocessing": preprocessing}  # fmt: skip


def _accuracy(old: dict[str, Any], output: str, where: str) -> dict[str, Any]:
    before, after = _needed(old, where, "float_top1", "quantized_top1")
    groups = {
        new: [_group(row, f"{where}.{name}[{number}]") for number, row in enumerate(_list(old.get(name) or [], name))]
        for new, name in (("worst", "worst_classes"), ("groups", "by_class"))
    }
    return {
        "task": "classification", "outputs": [output], "metric": "top-1", "unit": "%", "higher_is_better": True,
        "float": before, "quantized": after, **groups,
        "p": old.get("mcnemar_p"), "test": "McNemar, exact" if old.get("mcnemar_p") is not None else None,
        "details": {"flips": old["flips"]} if old.get("flips") is not None else {},
        **{key: value for key, value in old.items() if key not in _REPLACED},
    }  # fmt: skip


def _group(row: Any, where: str) -> dict[str, Any]:
    label, before, after, samples = _needed(row, where, "label", "float_top1", "quantized_top1", "samples")
    delta = row.get("delta")
    if delta is None and isinstance(before, int | float) and isinstance(after, int | float):
        delta = after - before  # the first records left it out
    return {"label": label, "float": before, "quantized": after, "delta": delta, "samples": samples}


def _agreement(old: dict[str, Any], output: str) -> dict[str, Any]:
    samples, source = _needed(old, "accuracy", "samples", "dataset")
    return {"name": output, "reference": "float file", "samples": samples, "source": source,
            "sqnr_db": old["output_snr_db"]}  # fmt: skip


def _calibration(old: dict[str, Any]) -> dict[str, Any]:
    """Findings were lines of text once, and what `auto` tried had a divergence in nats."""
    new = {key: value for key, value in old.items() if value is not None}
    new["findings"] = [
        {"code": "", "severity": "note", "text": each} if isinstance(each, str) else each
        for each in _list(old.get("findings") or [], "calibration.findings")
    ]
    if (tried := old.get("tried")) is not None:
        rows = [
            _needed(each, f"calibration.tried[{number}]", "method", "divergence")
            for number, each in enumerate(_list(tried, "calibration.tried"))
        ]
        new["criterion"] = "divergence of the class scores, nats an image"
        new["tried"] = [{"method": method, "loss": loss} for method, loss in rows]
    return new


def _quantization(old: dict[str, Any], output: str) -> dict[str, Any]:
    new = {key: value for key, value in old.items() if value is not None}
    if kept := _object(new.get("kept_float"), "quantization.kept_float"):
        kept = {key: value for key, value in kept.items() if value is not None}
        if whole := _object(kept.get("all_int8"), "quantization.kept_float.all_int8"):
            entry = _accuracy(whole, output, "quantization.kept_float.all_int8")
            if "output_snr_db" in whole:  # `ports` are of the file as it is
                entry["details"]["output_sqnr_db"] = whole["output_snr_db"]
            kept["all_int8"] = [entry]
        new["kept_float"] = kept
    return new


def _debug(old: dict[str, Any]) -> dict[str, Any]:
    new = dict(old)
    if simulation := _object(old.get("simulation"), "debug.simulation"):
        new["simulation"] = {"same_answers" if k == "top1_agreement" else k: v for k, v in simulation.items()}
    return new
