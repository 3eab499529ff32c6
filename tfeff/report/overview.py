"""What a report says of all its artifacts together: the summary, accuracy against cost, latency by device."""

import shlex
from collections.abc import Sequence

from tfeff.report.blocks import Chart, Missing, Section, Table, Words
from tfeff.report.charts import latencies, scatter
from tfeff.report.comparison import Comparison, by_device, comparisons
from tfeff.report.subject import Subject
from tfeff.report.text import Mono, between, count, ms, percent, plural, points, sha, short, size

_MEDIANS = 3  # in the summary; the section on latency has all


def overview(subjects: Sequence[Subject]) -> list[Section]:
    """The sections before those of the single artifacts."""
    compared = comparisons(subjects)
    return [_summary(subjects), _cost(subjects, compared), _latency(subjects)]


def _summary(subjects):
    columns = ["no.", "artifact", "float top-1", "top-1", "difference, 95 %", "size, of the float file", "int8 ops",
               "latency, median ms", "target", "on the target", "sha256"]  # fmt: skip
    rows = [[str(n), short(s.name), *_figures(s), sha(s.sha256)] for n, s in enumerate(subjects, 1)]
    numbers = frozenset({"no.", *columns[2:7]})
    blocks = [Table(f"{plural(len(rows), 'artifact')}, as measured on the files named", columns, rows, numbers)]
    blocks += [_data(subjects)]
    for number, subject in enumerate(subjects, 1):
        for failed in subject.part("gates").get("failed") or ():
            blocks.append(Words(f"{number} {subject.name}: a gate failed: {failed}", warning=True))
        if subject.record.get("weights") == "random":
            blocks.append(Words(f"{number} {subject.name}: random weights, for size and latency only", warning=True))
    return Section("Summary", blocks)


def _figures(subject):
    record, twin, accuracy, ops, check = (
        subject.record, subject.part("float_twin"), subject.part("accuracy"), subject.part("ops"), subject.part("check")
    )  # fmt: skip
    bytes_, twin_bytes = record.get("size_bytes"), twin.get("size_bytes")
    ratio = f", {100 * bytes_ / twin_bytes:.0f} %" if bytes_ and twin_bytes else ""
    if accuracy:
        row = [percent(accuracy["float_top1"]), percent(accuracy["quantized_top1"])]
        row += [f"{points(accuracy['delta'])} {between(accuracy['ci95'], points)}"]
    else:
        row = ["", "not measured", ""]
    made_for = ", ".join(filter(None, (record.get("target"), record.get("precision"))))
    mapped = f"{count(check['mapped'])} of {count(check['total'])}, {short(check['basis'], 40)}" if check else ""
    row += [f"{size(bytes_)}{ratio}", f"{count(ops.get('int8'))} of {count(ops['total'])}" if ops else ""]
    return [*row, _medians(subject), short(made_for, 60), mapped]


def _medians(subject):
    """The first medians of an artifact and where each was measured."""
    entries = subject.part("latency") or []
    said = [f"{ms(e['median_ms'])} {short(e.get('runtime') or e['device'], 40)}" for e in entries[:_MEDIANS]]
    return ", ".join(said) + (", ..." if len(entries) > _MEDIANS else "")


def _data(subjects):
    sets = dict.fromkeys((a["dataset"], a["samples"]) for s in subjects if (a := s.part("accuracy")))
    if not sets:
        return Words("No accuracy was measured.")
    said = " and ".join(f"{samples:,} images of {short(dataset)}" for dataset, samples in sets)
    return Words(
        f"Top-1 on {said}. Its intervals below are Wilson's; that of the difference is of the same images through both "
        "files (paired bootstrap). A difference whose interval holds 0 may be chance."
    )


def _cost(subjects, compared: list[Comparison]):
    if not compared:
        return Section("Accuracy against cost", _uncompared(subjects))
    blocks = [
        Words(
            "Up and left is better. Filled: on the Pareto front, no other artifact here is at least as good in both. "
            "Half: another one is ahead, but not beyond the 95 % intervals. Hollow: another one is ahead beyond them."
        )
        if len(subjects) > 1
        else Words("A single artifact is its own front; give several records to compare them.")
    ]
    blocks += [Chart(scatter(one)) for one in compared if len(one.points) > 1 or len(subjects) == 1]
    for one in compared:
        blocks.append(_standings(one))
    blocks += _uncompared(subjects)
    return Section("Accuracy against cost", blocks)


def _uncompared(subjects):
    without = [(number, subject) for number, subject in enumerate(subjects, 1) if not subject.part("accuracy")]
    return [Missing(f"accuracy of {_numbered([each])}", each[1].command("compare")) for each in without]


def _numbered(numbered):
    return ", ".join(f"{number} {short(subject.name)}" for number, subject in numbered)


def _standings(one: Comparison):
    latency = one.cost == "latency_ms"
    rows = [
        [
            str(p.number), short(p.name), percent(p.top1), between(p.top1_ci95, "{:.2f}".format),
            ms(p.cost) if latency else size(int(p.cost)), *([between(p.cost_ci95, ms)] if latency else []),
            p.standing, sha(p.sha256),
        ]
        for p in sorted(one.points, key=lambda p: p.cost)
    ]  # fmt: skip
    cost = ["median, ms", "95 % of it"] if latency else ["size"]
    where = f"latency on {short(one.device)}" if latency else "size"
    return Table(
        f"Top-1 against {where}; {one.samples:,} images of {short(one.dataset)}",
        ["no.", "artifact", "top-1", "95 %", *cost, "Pareto", "sha256"], rows,
        frozenset({"no.", "top-1", "95 %", *cost}),
    )  # fmt: skip


def _latency(subjects):
    devices = by_device(subjects)
    blocks = []
    if devices:
        spread = any(entry.get("quantiles_ms") for rows in devices.values() for *_, entry in rows)
        paired = any(entry.get("of_float") for rows in devices.values() for *_, entry in rows)
        blocks.append(
            Words(
                "Thick mark: median of the rounds, with its 95 % interval. Tick: 90 % of all runs were quicker."
                + (" Box: the middle half of all runs; line: 5 % to 95 % of them." if spread else "")
                + (" Of the float time: paired with the float twin's in the same rounds." if paired else "")
            )
        )
    blocks += [Chart(latencies(d, [(n, s.name, e) for n, s, e in rows])) for d, rows in devices.items()]
    blocks += [_times(device, rows) for device, rows in devices.items()]
    if untimed := [(number, subject) for number, subject in enumerate(subjects, 1) if not subject.part("latency")]:
        command = shlex.join(["tfeff", "bench", *(subject.record["file"] for _, subject in untimed), "--on", "local"])
        blocks.append(Missing(f"latency of {_numbered(untimed)}", command))
    return Section("Latency", blocks)


def _times(device, entries):
    sent = any(entry.get("browser") for *_, entry in entries)  # by a browser, with outputs to compare
    paired = any(entry.get("of_float") for *_, entry in entries)  # timed in one run with its float twin
    rows = []
    for number, subject, entry in sorted(entries, key=lambda row: row[2]["median_ms"]):
        p90, runs = entry.get("p90_ms"), entry.get("runs")
        rows.append([
            str(number), short(subject.name), ms(entry["median_ms"]), between(entry["ci95_ms"], ms),
            ms(p90) if p90 else "", *([_of_float(entry.get("of_float"))] if paired else []), count(runs),
            _kernels(entry.get("kernels")),
            *([_alike(entry.get("browser") or {})] if sent else []), sha(entry["sha256"]),
        ])  # fmt: skip
    columns = ["no.", "artifact", "median, ms", "95 %", "90 % below, ms",
               *(["of the float time, 95 %"] if paired else []), "runs", "XNNPACK took",
               *(["same class as here"] if sent else []), "sha256"]  # fmt: skip
    numbers = frozenset(columns[:1] + columns[2 : columns.index("XNNPACK took")])
    return Table(f"Latency on {short(device)}", columns, rows, numbers)


def _of_float(found):
    """The time as a part of the float twin's, paired by round: `tfeff bench` says when it is called a difference."""
    if not found:
        return "-"
    return f"{found['ratio']:.3f} {between(found['ci95'], '{:.3f}'.format)}, {found['verdict']}"


def _alike(browser):
    if browser.get("images") is None or browser.get("same_top1") is None:
        return "not compared"
    apart = browser.get("max_abs_difference")
    said = f"{browser['same_top1']} of {browser['images']}"
    return said if apart is None else f"{said}, outputs at most {apart:.2g} apart"


def _kernels(kernels):
    if not kernels or not kernels.get("xnnpack"):
        return ""
    if kernels.get("delegate"):  # another than XNNPACK, on a phone
        return short(f"{kernels['delegate']}: {kernels.get('taken') or 'unknown'}", 40)
    if kernels["xnnpack"] == "partly" and kernels.get("total"):
        left = ", ".join(f"{each.get('count', '')} {each['op']}".strip() for each in kernels.get("left") or ())
        return short(f"{kernels.get('delegated') or 0} of {kernels['total']}{', not ' + left if left else ''}", 80)
    return short(kernels["xnnpack"], 40)


def files(subjects: Sequence[Subject], verified: bool) -> Section:
    """Every file in full, so that each figure can be traced to its bytes."""
    rows = []
    for number, subject in enumerate(subjects, 1):
        named = [(subject.record["file"], subject.sha256, subject.record.get("size_bytes"))]
        for part in (subject.part("float_twin"), subject.part("compiled")):
            named += [(part["file"], part["sha256"], part.get("size_bytes"))] if part else []
        for file, sha256, bytes_ in named:
            checked = "hashed again" if file in subject.verified else "not hashed"
            rows.append([str(number), short(file), size(bytes_), checked, Mono(sha256)])
    said = (
        "All of these files were hashed again when this report was written, and are those that the records describe."
        if verified
        else "The files were not hashed again: tfeff report --verify does that. Figures are the records' own."
    )
    table = Table("Files", ["no.", "file", "size", "checked", "sha256"], rows, frozenset({"no.", "size"}))
    return Section("Files", [Words(said), table])
