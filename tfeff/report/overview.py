"""What a report says of all its artifacts together: the summary, metrics against cost, latency by device."""

import shlex
from collections.abc import Sequence
from typing import Any

from tfeff.record import words
from tfeff.record.schema import Accuracy, Browser, Kernels, Latency, OfFloat
from tfeff.report.blocks import Chart, Missing, Section, Table, Words
from tfeff.report.charts import latencies, measure_words, scatter
from tfeff.report.comparison import Comparison, by_device, comparisons
from tfeff.report.reported import Reported
from tfeff.report.text import Mono, begun, between, count, ms, plural, sha, short, size

_MEDIANS = 3  # in the summary; the section on latency has all


def overview(items: Sequence[Reported]) -> list[Section]:
    """The sections before those of the single artifacts."""
    compared = comparisons(items)
    return [_summary(items), _cost(items, compared), _latency(items)]


def _summary(items):
    metrics = {each.metric for item in items for each in item.record.accuracy}
    alike = len(metrics) <= 1 and all(len(item.record.accuracy) <= 1 for item in items)
    name = short(next(iter(metrics), "top-1"), 40)
    named = [f"float {name}", name] if alike else ["metric", "float", "quantized"]
    columns = ["no.", "artifact", *named, "difference, 95 %", "size, of the float file", "int8 ops",
               "latency, median ms", "target", "on the target", "sha256"]  # fmt: skip
    rows = [[str(n), short(item.name), *_figures(item, alike), sha(item.sha256)] for n, item in enumerate(items, 1)]
    numbers = frozenset({"no.", *columns[2 if alike else 3 : -3]})
    blocks: list[Any] = [
        Table(f"{plural(len(rows), 'artifact')}, as measured on the files named", columns, rows, numbers)
    ]
    blocks.append(_data(items))
    for number, item in enumerate(items, 1):
        for failed in item.record.gates.failed:
            blocks.append(Words(f"{number} {item.name}: a gate failed: {failed}", warning=True))
        if item.record.weights == "random":
            blocks.append(Words(f"{number} {item.name}: random weights, for size and latency only", warning=True))
    return Section("Summary", blocks)


def _figures(item, alike):
    record, twin = item.record, item.record.float_twin
    bytes_, twin_bytes = record.size_bytes, twin.size_bytes if twin else None
    ratio = f", {100 * bytes_ / twin_bytes:.0f} %" if bytes_ and twin_bytes else ""
    row = _measured(record.accuracy, alike)
    if not record.accuracy:
        row[-2] = "not measured" if item.has_metric else "; ".join(
            short(f"{port.name} {words.sqnr(port) or words.likeness(port)}", 60)
            for port in record.ports
            if port.reference == "float file"
        )  # fmt: skip
    ops, check = record.ops, record.check
    made_for = ", ".join(filter(None, (record.target, record.precision)))
    mapped = f"{count(check.mapped)} of {count(check.total)}, {short(check.basis, 40)}" if check else ""
    row += [f"{size(bytes_)}{ratio}", f"{count(ops.int8)} of {count(ops.total)}" if ops else ""]
    return [*row, _medians(item), short(made_for, 60), mapped]


def _measured(entries: Sequence[Accuracy], alike: bool) -> list[str]:
    """Cells of the metrics: float, quantized and difference, the metrics' names before them where these differ."""
    cells = [
        [short(entry.metric, 40) for entry in entries],
        [words.figure(entry.float_value, entry.unit) for entry in entries],
        [words.figure(entry.quantized, entry.unit) for entry in entries],
        [f"{words.signed(entry.delta, entry.unit)} {words.interval(entry)}" for entry in entries],
    ]
    return [short("; ".join(cell), 300) for cell in cells[1 if alike else 0 :]]


def _medians(item):
    """The first medians of an artifact and where each was measured."""
    entries = item.record.latency
    said = [f"{ms(e.median_ms)} {short(e.runtime or e.device, 40)}" for e in entries[:_MEDIANS]]
    return ", ".join(said) + (", ..." if len(entries) > _MEDIANS else "")


def _data(items):
    entries = [each for item in items for each in item.record.accuracy]
    if not entries:
        ports = any(item.record.ports for item in items)
        return Words("Outputs were compared as numbers: no accuracy." if ports else "No accuracy was measured.")
    sets = dict.fromkeys((each.metric, each.dataset, each.samples) for each in entries)
    said = " and ".join(
        f"{short(name, 40)} on {samples:,} samples of {short(dataset)}" for name, dataset, samples in sets
    )
    shares = dict.fromkeys(short(each.metric, 40) for each in entries if each.is_share)
    own = f" The interval of {' and '.join(shares)} below is Wilson's." if shares else ""
    return Words(
        f"{begun(said)}.{own} That of the difference is of the same samples through both files (paired "
        "bootstrap). A difference whose interval holds 0 may be chance."
    )


def _cost(items, compared: list[Comparison]):
    title = "Accuracy against cost"
    if not compared:
        return Section(title, _uncompared(items) or [Words("There is no accuracy: outputs were compared as numbers.")])
    blocks: list[Any] = [
        Words(
            "Up and left is better. Filled: on the Pareto front, no other artifact here is at least as good in both. "
            "Half: another one is ahead, but not beyond the 95 % intervals. Hollow: another one is ahead beyond them."
        )
        if len(items) > 1
        else Words("A single artifact is its own front; give several records to compare them.")
    ]
    blocks += [Chart(scatter(one)) for one in compared if len(one.points) > 1 or len(items) == 1]
    for one in compared:
        blocks.append(_standings(one))
    if len(items) > 1 and any(point.value_ci95 is None for one in compared for point in one.points):
        blocks.append(Words("A metric without an interval of its own is never called beyond another's."))
    blocks += _uncompared(items)
    return Section(title, blocks)


def _uncompared(items):
    without = [(n, item) for n, item in enumerate(items, 1) if not item.record.accuracy and item.has_metric]
    return [Missing(f"accuracy of {_numbered([each])}", each[1].command("compare")) for each in without]


def _numbered(numbered):
    return ", ".join(f"{number} {short(item.name)}" for number, item in numbered)


def _standings(one: Comparison):
    latency, measure = one.cost == "latency_ms", one.measure
    spread = any(point.value_ci95 for point in one.points)
    rows = [
        [
            str(p.number), short(p.name), short(words.figure(p.value, measure.unit)),
            *([between(p.value_ci95, "{:.2f}".format) if p.value_ci95 else ""] if spread else []),
            ms(p.cost) if latency else size(int(p.cost)), *([between(p.cost_ci95, ms)] if latency else []),
            p.standing, sha(p.sha256),
        ]
        for p in sorted(one.points, key=lambda p: p.cost)
    ]  # fmt: skip
    cost = ["median, ms", "95 % of it"] if latency else ["size"]
    where = f"latency on {short(one.device)}" if latency else "size"
    name = short(measure.metric, 40)
    columns = ["no.", "artifact", name, *(["95 %"] if spread else []), *cost, "Pareto", "sha256"]
    return Table(
        f"{measure_words(measure)} against {where}; {measure.samples:,} samples of {short(measure.dataset)}",
        columns, rows, frozenset({"no.", name, "95 %", *cost}),
    )  # fmt: skip


def _latency(items):
    devices = by_device(items)
    blocks: list[Any] = []
    if devices:
        entries = [entry for rows in devices.values() for *_, entry in rows]
        blocks.append(
            Words(
                "Thick mark: median of the rounds, with its 95 % interval. Tick: 90 % of all runs were quicker."
                + (
                    " Box: the middle half of all runs; line: 5 % to 95 % of them."
                    if any(entry.quantiles_ms for entry in entries)
                    else ""
                )
                + (
                    " Of the float time: paired with the float twin's in the same rounds."
                    if any(entry.of_float for entry in entries)
                    else ""
                )
            )
        )
    blocks += [Chart(latencies(d, [(n, item.name, e) for n, item, e in rows])) for d, rows in devices.items()]
    blocks += [_times(device, rows) for device, rows in devices.items()]
    if untimed := [(number, item) for number, item in enumerate(items, 1) if not item.record.latency]:
        command = shlex.join(["tfeff", "bench", *(item.record.file for _, item in untimed), "--on", "local"])
        blocks.append(Missing(f"latency of {_numbered(untimed)}", command))
    return Section("Latency", blocks)


def _times(device: str, entries: Sequence[tuple[int, Reported, Latency]]) -> Table:
    sent = any(entry.browser for *_, entry in entries)  # by a browser, with outputs to compare
    paired = any(entry.of_float for *_, entry in entries)  # timed in one run with its float twin
    rows = [
        [
            str(number), short(item.name), ms(entry.median_ms), between(entry.ci95_ms, ms),
            ms(entry.p90_ms) if entry.p90_ms else "", *([_of_float(entry.of_float)] if paired else []),
            count(entry.runs), _kernels(entry.kernels), *([_alike(entry.browser)] if sent else []), sha(entry.sha256),
        ]
        for number, item, entry in sorted(entries, key=lambda row: row[2].median_ms)
    ]  # fmt: skip
    columns = ["no.", "artifact", "median, ms", "95 %", "90 % below, ms",
               *(["of the float time, 95 %"] if paired else []), "runs", "XNNPACK took",
               *(["same class as here"] if sent else []), "sha256"]  # fmt: skip
    numbers = frozenset(columns[:1] + columns[2 : columns.index("XNNPACK took")])
    return Table(f"Latency on {short(device)}", columns, rows, numbers)


def _of_float(found: OfFloat | None) -> str:
    """The time as a part of the float twin's, paired by round: `tfeff bench` says when it is called a difference."""
    if found is None:
        return "-"
    return f"{found.ratio:.3f} {between(found.ci95, '{:.3f}'.format)}, {found.verdict}"


def _alike(browser: Browser | None) -> str:
    if browser is None or browser.images is None or browser.same_top1 is None:
        return "not compared"
    said = f"{browser.same_top1} of {browser.images}"
    apart = browser.max_abs_difference
    return said if apart is None else f"{said}, outputs at most {apart:.2g} apart"


def _kernels(kernels: Kernels | None) -> str:
    if kernels is None or not kernels.xnnpack:
        return ""
    if kernels.delegate:  # another than XNNPACK, on a phone
        return short(f"{kernels.delegate}: {kernels.taken or 'unknown'}", 40)
    if kernels.xnnpack == "partly" and kernels.total:
        left = ", ".join(f"{each.get('count', '')} {each.get('op', '')}".strip() for each in kernels.left)
        return short(f"{kernels.delegated or 0} of {kernels.total}{', not ' + left if left else ''}", 80)
    return short(kernels.xnnpack, 40)


def files(items: Sequence[Reported], verified: bool) -> Section:
    """Every file in full, so that each figure can be traced to its bytes."""
    rows = []
    for number, item in enumerate(items, 1):
        record = item.record
        named = [(record.file, record.sha256, record.size_bytes)]
        named += [(part.file, part.sha256, part.size_bytes) for part in (record.float_twin, record.compiled) if part]
        for file, sha256, bytes_ in named:
            checked = "hashed again" if file in item.verified else "not hashed"
            rows.append([str(number), short(file), size(bytes_), checked, Mono(sha256)])
    said = (
        "All of these files were hashed again when this report was written, and are those that the records describe."
        if verified
        else "The files were not hashed again: tfeff report --verify does that. Figures are the records' own."
    )
    table = Table("Files", ["no.", "file", "size", "checked", "sha256"], rows, frozenset({"no.", "size"}))
    return Section("Files", [Words(said), table])
