"""Latency figures in an artifact's record."""

from collections.abc import Sequence
from typing import Any

from tfeff.artifact import Artifact, update_record
from tfeff.errors import TfeffError

_SAME = ("device", "cpu", "runtime", "version", "threads", "xnnpack", "core_class")


def latency_entry(result: dict[str, Any], of_float: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a record keeps of one of `bench`'s results.

    A record may be published: of the device stays its kind ("python", not the path of that Python) and its processor.

    Args:
        result: one of `bench(...)["results"]`.
        of_float: how its time stands to the float twin's, see `ratio_to_float`.

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
        **({"core_class": result["core_class"]} if "core_class" in result else {}),  # of a phone
        "sha256": result["sha256"],
        **({"of_float": of_float} if of_float else {}),
        **({"browser": result["browser"]} if "browser" in result else {}),  # of results that were sent to us
    }


def ratio_to_float(
    result: dict[str, Any], results: Sequence[dict[str, Any]], ratios: Sequence[dict[str, Any]], twin_sha256: str | None
) -> dict[str, Any] | None:
    """How a file's time stands to its float twin's, where one run timed both and the twin was its first file.

    Args:
        result: the file's own, one of `results`.
        results, ratios: of one `bench(...)`.
        twin_sha256: of the float twin; None where there is none.

    Returns:
        `ratio` of the times (below 1 where the file is quicker), its `ci95`, the `verdict`, and `sha256`, the twin's.
        None where the run did not pair the two, and where the file is its own twin (a float32 export).
    """
    if not ratios or twin_sha256 in (None, result["sha256"]):  # results that were sent to us come without ratios
        return None
    setting = (result["device"], result["threads"])
    twins = {
        one["file"] for one in results if one["sha256"] == twin_sha256 and (one["device"], one["threads"]) == setting
    }
    for ratio in ratios:
        same = (ratio["device"], ratio.get("threads", result["threads"])) == setting
        if same and ratio["a"] == result["file"] and ratio["b"] in twins:
            return {name: ratio[name] for name in ("ratio", "ci95", "verdict")} | {"sha256": twin_sha256}
    return None


def record_latency(
    artifact: Artifact, results: Sequence[dict[str, Any]], ratios: Sequence[dict[str, Any]] = ()
) -> bool:
    """Puts the results that were measured on this very file into its record's `latency`.

    An entry of the same device, processor, runtime, version, threads, XNNPACK setting, class of cores and delegate is
    replaced, and so is every entry that was measured on other bytes. An entry is of one run: the ratio to the float
    twin goes with the times that it was measured with.

    Args:
        results: `bench(...)["results"]`; those of other files are passed over.
        ratios: `bench(...)["ratios"]`; kept where they are to the record's float twin.

    Returns:
        Whether the record was written; False without a record or without a result for it.

    Raises:
        TfeffError: the record cannot be written, or the artifact was replaced meanwhile.
    """
    twin = ((artifact.record or {}).get("float_twin") or {}).get("sha256")
    own = [  # an emulated device has no times
        latency_entry(result, ratio_to_float(result, results, ratios, twin))
        for result in results
        if "median_ms" in result and result["sha256"] == artifact.sha256
    ]
    entries = {_setting(entry): entry for entry in own}
    if not entries:
        return False

    def change(record: dict[str, Any]) -> None:
        kept = [
            old
            for old in record.get("latency") or []
            if old.get("sha256") == artifact.sha256 and _setting(old) not in entries
        ]
        record["latency"] = kept + list(entries.values())

    return update_record(artifact, change)


def _setting(entry: dict[str, Any]) -> tuple:
    """What an entry was measured with: two of the same are of the same thing."""
    return (*(entry.get(name) for name in _SAME), (entry.get("kernels") or {}).get("delegate"))
