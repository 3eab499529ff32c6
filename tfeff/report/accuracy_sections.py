"""What a report says of what int8 cost: each task's metric, its groups, and how the outputs agree as numbers."""

from typing import Any

from tfeff.record import words
from tfeff.record.schema import Accuracy, Group
from tfeff.report.blocks import Facts, Measured, Missing, Section, Table, Words
from tfeff.report.charts import change_bar
from tfeff.report.reported import Reported
from tfeff.report.text import begun, count, number, plural, short
from tfeff.tasks import get_task, list_tasks

_GROUPS = 25  # rows of the table; `--format json` has all


def accuracy_sections(item: Reported) -> list[Section]:
    """The metric of each task, what became of its groups, and the agreement of the outputs."""
    found = [_cost(item), _agreement(item), *(_groups(item, each) for each in item.record.accuracy)]
    return [section for section in found if section]


def lost_first(accuracy: Accuracy) -> list[Group]:
    """The groups, those that lost most first; only the worst where the record names no others."""
    sign = 1 if accuracy.higher_is_better else -1
    return sorted(accuracy.groups or accuracy.worst, key=lambda group: sign * group.delta)


def group_word(accuracy: Accuracy) -> str:
    """What the metric's groups are: `class`, `value`, ..."""
    return get_task(accuracy.task).group if accuracy.task in list_tasks() else "group"


def _cost(item):
    record = item.record
    if not record.accuracy:
        missing = [Missing("accuracy against the float twin", item.command("compare"))] if item.has_metric else []
        return Section("What int8 cost", missing) if missing else None
    blocks: list[Any] = []
    for accuracy in record.accuracy:
        if len(record.accuracy) > 1:
            blocks.append(Words(short(f"{accuracy.task} of {', '.join(accuracy.outputs)}", 300)))
        blocks.append(Facts(_rows(accuracy)))
    if record.quantization and (kept := record.quantization.kept_float):
        said = f"kept none: {kept.refused}" if kept.refused else ", ".join(kept.layers) or "none"
        blocks.append(Facts([("layers kept in float", short(said, 600))]))
    files = [file for accuracy in record.accuracy for file in _files(accuracy)]
    return Section("What int8 cost", [*blocks, Measured(files)])


def _rows(accuracy):
    name = short(accuracy.metric, 60)
    rows = [
        ("samples", f"{accuracy.samples:,} of {short(accuracy.dataset)}"),
        ("metric", short(words.metric(accuracy))),
        (f"float {name}", short(words.figure(accuracy.float_value, accuracy.unit))),
        (f"quantized {name}", short(words.figure(accuracy.quantized, accuracy.unit))),
        ("difference", short(f"{words.difference(accuracy.delta, accuracy.unit)}, 95 % {words.interval(accuracy)}")),
    ]
    if accuracy.p is not None:
        rows.append((short(f"p ({accuracy.test})" if accuracy.test else "p", 60), f"{accuracy.p:.3g}"))
    if accuracy.task in list_tasks():
        rows += [(short(what, 60), short(said)) for what, said in get_task(accuracy.task).tell(accuracy.details)]
    return rows


def _files(accuracy):
    return [("quantized", accuracy.quantized_sha256), ("float", accuracy.float_sha256)]


def _agreement(item):
    title = "Agreement of the outputs"
    if not item.record.ports:
        if item.has_metric:
            return None
        return Section(title, [Missing("the outputs against the float twin's", item.command("compare"))])
    rows = [
        [
            short(port.name, 80), short(port.reference, 40), words.sqnr(port),
            "" if port.max_abs_error is None else number(port.max_abs_error), words.likeness(port),
            count(port.samples), short(port.source, 80),
        ]
        for port in item.record.ports
    ]  # fmt: skip
    columns = ["output", "against", "SQNR", "largest error", "alike", "samples", "of"]
    table = Table("Outputs as numbers, whatever they mean", columns, rows, frozenset(columns[2:6]))
    return Section(title, [table, Measured([("file", item.sha256)])])


def _groups(item, accuracy):
    word, rows = group_word(accuracy), lost_first(accuracy)
    if not rows and not accuracy.is_share:
        return None
    blocks: list[Any] = []
    if not accuracy.groups:
        many = f"{word}es" if word.endswith("s") else f"{word}s"
        said = f"Its record names only the {many} that lost most." if rows else f"Its record names no {word} that lost."
        blocks.append(Words(said))
    if rows:
        blocks.append(_group_table(accuracy, word, rows))
    if len(rows) > _GROUPS:
        blocks.append(Words(f"and {plural(len(rows) - _GROUPS, f'more {word}')} (--format json)"))
    if not accuracy.groups:
        blocks.append(Missing(f"the other {many}", item.command("compare")))
    of = f", {short(', '.join(accuracy.outputs), 80)}" if len(item.record.accuracy) > 1 else ""
    return Section(f"Float against int8, {word} by {word}{of}", [*blocks, Measured(_files(accuracy))])


def _group_table(accuracy, word, rows):
    metric, unit = short(accuracy.metric, 60), accuracy.unit
    most = max((abs(row.delta) for row in rows), default=0.0)
    sign = 1 if accuracy.higher_is_better else -1
    cells = [
        [
            short(row.label, 80), short(words.figure(row.float_value, unit)), short(words.figure(row.quantized, unit)),
            words.signed(row.delta, unit), change_bar(sign * row.delta, most, words.difference(row.delta, unit)),
            count(row.samples),
        ]
        for row in rows[:_GROUPS]
    ]  # fmt: skip
    change = "difference, points" if unit == "%" else "difference"
    columns = [word, f"float {metric}", f"quantized {metric}", change, "", "samples"]
    caption = f"{begun(metric)} by {word}, the largest loss first"
    return Table(caption, columns, cells, frozenset(columns[1:4] + columns[5:]))
