"""Latency figures in an artifact's record."""

from typing import Any

from tfeff.artifact import Artifact, update_record

_SAME = ("device", "cpu", "runtime", "version", "threads", "xnnpack")


def latency_entry(result: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of one of `bench`'s results.

    A record may be published: of the device stays its kind ("python", not the path of that Python) and its processor.
    """
    kept = ("runtime", "version", "threads", "xnnpack", "median_ms", "ci95_ms", "p90_ms", "runs", "rounds", "kernels")
    return {
        "device": result["device"].partition(":")[0],
        "cpu": result["environment"]["cpu"],
        **{name: result[name] for name in kept},
        "sha256": result["sha256"],
    }


def record_latency(artifact: Artifact, results: list[dict[str, Any]]) -> bool:
    """Puts the results that were measured on this very file into its record's `latency`.

    An entry of the same device, processor, runtime, version, threads and XNNPACK setting is replaced, and so is every
    entry that was measured on other bytes.

    Args:
        results: `bench(...)["results"]`; those of other files are passed over.

    Returns:
        Whether the record was written; False without a record or without a result for it.

    Raises:
        TfeffError: the record cannot be written, or the artifact was replaced meanwhile.
    """
    entries = {
        tuple(entry[name] for name in _SAME): entry
        for entry in (latency_entry(result) for result in results if result["sha256"] == artifact.sha256)
    }
    if not entries:
        return False

    def change(record: dict[str, Any]) -> None:
        kept = [
            old
            for old in record.get("latency") or []
            if old.get("sha256") == artifact.sha256 and tuple(old.get(name) for name in _SAME) not in entries
        ]
        record["latency"] = kept + list(entries.values())

    return update_record(artifact, change)
