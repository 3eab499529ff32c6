"""What `edgetpu_compiler` said, understood: all shapes that were recorded, and what is none of them."""

import pytest
from edgetpu_recordings import (
    DONE,
    DYNAMIC,
    GROUPS,
    HEADER,
    LOG,
    MIXED,
    OLD_FAILURE,
    OUT_OF_RANGE,
    PARTLY,
    SEARCH,
    TOO_LARGE,
    TOO_NEW,
    WHOLE,
)

from tfeff.export.targets.edgetpu.compiler_output import (
    Report,
    confirmed,
    failure_mend,
    parse_output,
    parse_rows,
    parse_size,
    parse_version,
)


def test_version():
    assert parse_version(HEADER) == parse_version(LOG) == "16.0.384591198"
    assert parse_version("usage: something else") is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("0.00B", 0), ("80.00KiB", 81920), ("7.02MiB", 7361004), ("512.00B", 512), ("1.50GiB", 3 * 2**29)],
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "7.02", "MiB", "7.02MB", "1,5MiB"])
def test_other_sizes_are_none(text):
    with pytest.raises(ValueError):
        parse_size(text)


def test_all_mapped():
    (report,) = parse_output(HEADER + WHOLE + DONE)
    assert report == Report(
        "m.tflite", "m_edgetpu.tflite", 7361004, 7486833, 81920, 6333399, 0, subgraphs=1, total=3,
    )  # fmt: skip


def test_partly_mapped():
    (report,) = parse_output(HEADER + WHOLE + PARTLY + DONE)
    assert (report.total, report.on_edgetpu, report.on_cpu, report.rows) == (3, 1, 2, ())


def test_table_on_demand():
    (report,) = parse_output(HEADER + WHOLE + PARTLY.rpartition("See")[0] + "\n" + MIXED + DONE)
    assert sum(count for _, count, _ in report.rows) == 43
    assert report.rows[-1] == ("CUSTOM", 1, "A status nobody has seen: yet")


def test_log():
    assert parse_rows(LOG) == (("QUANTIZE", 2, "Mapped to Edge TPU"), ("DEPTHWISE_CONV_2D", 1, "Mapped to Edge TPU"))
    assert parse_rows("Edge TPU Compiler version 16.0\nInput: 3 4 5\n") == ()


def test_several_subgraphs():
    (report,) = parse_output(HEADER + WHOLE.replace("subgraphs: 1", "subgraphs: 3") + DONE)
    assert report.subgraphs == 3


def test_several_models():
    first, second = WHOLE, WHOLE.partition("\n\n")[2].replace("m.tflite", "n.tflite").replace("80.00KiB", "0.00B")
    reports = parse_output(HEADER + first.replace("Model compiled", "Models compiled") + second + DONE)
    assert [(report.input, report.on_chip_bytes) for report in reports] == [("m.tflite", 81920), ("n.tflite", 0)]


def test_older_compilers_say_less():
    text = "Edge TPU Compiler version 14.1.317412892\n\n" + WHOLE
    (report,) = parse_output(text)
    assert report.subgraphs == 1
    assert parse_output(OLD_FAILURE) == ()


def test_last_attempt_counts():
    (report,) = parse_output(HEADER + SEARCH + WHOLE + PARTLY + DONE)
    assert report.on_edgetpu == 1
    assert parse_output(HEADER + WHOLE + DONE + TOO_LARGE) == ()
    two = WHOLE.replace("subgraphs: 1", "subgraphs: 9")
    (report,) = parse_output(HEADER + two + DONE + TOO_LARGE + WHOLE + DONE)
    assert report.subgraphs == 1


@pytest.mark.parametrize("text", ["", HEADER, TOO_NEW, OUT_OF_RANGE, DYNAMIC, TOO_LARGE, GROUPS, "\0\xff nonsense"])
def test_no_success_no_report(text):
    assert parse_output(text) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOO_NEW, ["CONV_2D", "version 6", "--target edgetpu"]),
        (OUT_OF_RANGE, ["150", "tfeff check"]),
        (DYNAMIC, ["fixed batch"]),
        (GROUPS, ["group convolution"]),
        (TOO_LARGE, ["smaller input"]),
        (OLD_FAILURE, ["smaller input"]),
        ("something new", ["tfeff check"]),
    ],
)
def test_failures_name_the_mend(text, words):
    for word in words:
        assert word in failure_mend(HEADER + text)


def test_confirmed_verdict():
    verdict = confirmed(Report(), parse_rows(MIXED), {"subgraphs": 1})
    assert (verdict.basis, verdict.mapped, verdict.total, verdict.ok) == ("confirmed", 4, 43, False)
    found = {(row["op"], row["status"]): row for row in verdict.rows()}
    assert found["CONV_2D", "stranded"]["count"] == 30
    assert "relu6" in found["HARD_SWISH", "refused"]["mend"]
    assert found["RESHAPE", "refused"]["reason"].startswith("Tensor has unsupported rank")
    assert found["CUSTOM", "cpu"]["reason"] == "A status nobody has seen: yet"  # passed on as it is
    assert verdict.first_break.name == "HARD_SWISH"


def test_confirmed_by_counts_alone():
    verdict = confirmed(Report(total=191, on_edgetpu=1, on_cpu=190), (), {})
    assert (verdict.mapped, verdict.total) == (1, 191)
    assert confirmed(Report(total=3), (), {}).ok
