"""Latency figures in an artifact's record."""

from typing import Any

from tfeff.artifact import Artifact, update_record
from tfeff.errors import TfeffError

_SAME = ("device", "cpu", "runtime", "version", "threads", "xnnpack")


def latency_entry(result: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of one of `bench`'s results.

    A record may be published: of the device stays its kind ("python", not the path of that Python) and its processor.

    Raises:
        TfeffError: it holds no time, as an emulated device's.
    """
    if "median_ms" not in result:
        raise TfeffError(f"{result['device']}: tells no time", "leave it to `tfeff bench`, which shows what it tells")
    kept = ("runtime", "version", "threads", "xnnpack", "median_ms", "ci95_ms", "p90_ms", "runs", "rounds", "kernels")
    return {
        "device": result["device"].partition(":")[0],
        "cpu": result["environment"]["cpu"],
        **{name: result[name] for name in kept},
        **({"quantiles_ms": result["quantiles_ms"]} if "quantiles_ms" in result else {}),  # where each run was seen
        "sha256": result["sha256"],
        **({"browser": result["browser"]} if "browser" in result else {}),  # of results that were sent to us
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
    timed = [result for result in results if "median_ms" in result]  # an emulated device has no times
    entries = {
        tuple(entry[name] for name in _SAME): entry
        for entry in (latency_entry(result) for result in timed if result["sha256"] == artifact.sha256)
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
