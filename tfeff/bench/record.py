"""Latency figures in an artifact's record."""

from collections.abc import Sequence

from tfeff.artifact import Artifact, update_record
from tfeff.bench.outcome import PhoneTimes, Ratio, Result, WorkerTimes
from tfeff.errors import TfeffError
from tfeff.record import Record
from tfeff.record.schema import Latency, OfFloat


def latency_entry(result: Result, of_float: OfFloat | None = None) -> Latency:
    """What a record keeps of one of `bench`'s results.

    A record may be published: of the device stays its kind ("python", not the path of that Python) and its processor.

    Args:
        result: one of `bench(...).results`.
        of_float: how its time stands to the float twin's, see `ratio_to_float`.

    Raises:
        TfeffError: it holds no time, as an emulated device's.
    """
    times = result.times
    if times is None:
        raise TfeffError(f"{result.device}: tells no time", "leave it to `tfeff bench`, which shows what it tells")
    return Latency(
        device=result.device.partition(":")[0],
        cpu=result.environment["cpu"],
        runtime=result.runtime,
        version=result.version,
        threads=result.threads,
        xnnpack=result.xnnpack,
        median_ms=times.median_ms,
        ci95_ms=times.ci95_ms,
        p90_ms=times.p90_ms,
        quantiles_ms=list(times.quantiles_ms) if isinstance(times, WorkerTimes) else None,
        runs=times.runs,
        rounds=times.rounds,
        kernels=result.kernels,
        core_class=times.core_class if isinstance(times, PhoneTimes) else None,
        sha256=result.sha256,
        of_float=of_float,
        browser=result.browser,
    )


def ratio_to_float(
    result: Result, results: Sequence[Result], ratios: Sequence[Ratio], twin_sha256: str | None
) -> OfFloat | None:
    """How a file's time stands to its float twin's, where one run timed both and the twin was its first file.

    Args:
        result: the file's own, one of `results`.
        results, ratios: of one `bench(...)`.
        twin_sha256: of the float twin; None where there is none.

    Returns:
        None where the run did not pair the two, and where the file is its own twin (a float32 export).
    """
    if twin_sha256 is None or twin_sha256 == result.sha256:
        return None
    setting = (result.device, result.threads)
    twins = {one.file for one in results if one.sha256 == twin_sha256 and (one.device, one.threads) == setting}
    for one in ratios:
        if (one.device, one.threads) == setting and one.a == result.file and one.b in twins:
            return OfFloat(ratio=one.ratio, ci95=one.ci95, verdict=one.verdict, sha256=twin_sha256)
    return None


def record_latency(artifact: Artifact, results: Sequence[Result], ratios: Sequence[Ratio] = ()) -> bool:
    """Puts the results that were measured on this very file into its record's `latency`.

    An entry of the same device, processor, runtime, version, threads, XNNPACK setting, class of cores and delegate is
    replaced. An entry is of one run: the ratio to the float twin goes with the times that it was measured with.

    Args:
        results: `bench(...).results`; those of other files, and those without times, are passed over.
        ratios: `bench(...).ratios`; kept where they are to the record's float twin.

    Returns:
        Whether the record was written; False without a record or without a result for it.

    Raises:
        TfeffError: the record cannot be written, or the artifact was replaced meanwhile.
    """
    record = artifact.record
    twin = record.float_twin.sha256 if record is not None and record.float_twin is not None else None
    own = [
        latency_entry(result, ratio_to_float(result, results, ratios, twin))
        for result in results
        if result.times is not None and result.sha256 == artifact.sha256
    ]
    entries = {_setting(entry): entry for entry in own}
    if not entries:
        return False

    def change(record: Record) -> None:
        kept = [old for old in record.latency if _setting(old) not in entries]
        record.latency = kept + list(entries.values())

    return update_record(artifact, change)


def _setting(entry: Latency) -> tuple[object, ...]:
    """What an entry was measured with: two of the same are of the same thing."""
    delegate = entry.kernels.delegate if entry.kernels is not None else None
    return (entry.device, entry.cpu, entry.runtime, entry.version, entry.threads, entry.xnnpack, entry.core_class,
            delegate)  # fmt: skip
