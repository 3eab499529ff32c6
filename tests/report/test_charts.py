"""Pictures: what is drawn stands where the figures say."""

import math
import xml.etree.ElementTree as ET

import msgspec
import pytest
from report_records import layer, record, several, write

from tfeff.record.schema import DebugLayer, Latency
from tfeff.report import layer_charts, read_reported
from tfeff.report.charts import latencies, scatter
from tfeff.report.comparison import comparisons
from tfeff.report.svg import Axis


def layers_of(rows):
    return [msgspec.convert(row, DebugLayer) for row in rows]


def elements(picture, style):
    root = ET.fromstring(picture.svg("p"))
    return [each for each in root.iter() if each.get("class") == style]


def box(element):
    """(x, y, width, height) of a filled box."""
    start, rest = element.get("d")[1:].split("h", 1)
    wide, rest = rest.split("v", 1)
    x, y = map(float, start.split())
    return x, y, float(wide), float(rest.split("h")[0])


ENDS = [
    (0.02, 5.7, True), (348_464, 12_559_712, True), (88.1, 92.5, False), (3.0, 3.0, False), (0.0, 0.0, False),
    (1e-5, 1e-5, True), (0, 1e-4, False),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "log"), ENDS)
def test_axis_maps_ends_to_ends_and_ticks_are_round(low, high, log):
    axis = Axis(low, high, 10, 110, log)
    assert math.isclose(axis(axis.low), 10)
    assert math.isclose(axis(axis.high), 110)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 7
    places = [axis(tick) for tick in ticks]
    assert places == sorted(places)
    for tick in ticks:
        assert axis.low - 1e-9 * abs(axis.low) <= tick <= axis.high + 1e-9 * abs(axis.high)
        lead = abs(tick) / 10 ** math.floor(math.log10(abs(tick))) if tick else 0
        assert math.isclose(lead, round(lead, 1), abs_tol=1e-6), tick
    if log:
        middle = math.sqrt(axis.low * axis.high)
        assert math.isclose(axis(middle), 60)


def test_points_lie_in_order_of_their_figures(tmp_path):
    made = [
        record(f"n{n}", top1=(95.0, top1), latency=ms)
        for n, (top1, ms) in enumerate([(80, 1), (85, 2), (83, 9), (90, 4)])
    ]
    (latency,) = [c for c in comparisons(read_reported([write(tmp_path, m) for m in made])) if c.cost == "latency_ms"]
    picture = scatter(latency)
    dots = [each for each in ET.fromstring(picture.svg("p")).iter() if each.tag.endswith("circle")]
    assert len(dots) == 4
    x, y = ([float(dot.get(name)) for dot in dots] for name in ("cx", "cy"))
    assert sorted(range(4), key=x.__getitem__) == [0, 1, 3, 2]
    assert sorted(range(4), key=y.__getitem__) == [3, 1, 2, 0]  # up is better
    assert [dot.get("class") for dot in dots] == ["dot front", "dot front", "dot behind", "dot front"]
    doubled = x[1] - x[0], x[3] - x[1]
    assert math.isclose(*doubled, abs_tol=0.2)  # logarithmic: 1 to 2 is as far as 2 to 4
    assert all(0 < value < picture.width for value in x)
    assert "3 n2" not in picture.text
    assert "1 n0, 80.00 %, 1 ms; 2 n1, 85.00 %, 2 ms; 4 n3, 90.00 %, 4 ms" in picture.text


def test_latency_marks_stand_in_order(tmp_path):
    entry, other = (msgspec.convert(record(latency=ms)["latency"][0], Latency) for ms in (0.5, 0.8))
    other.quantiles_ms = other.p90_ms = None
    picture = latencies("somewhere", [(1, "a", entry), (2, "b", other)])
    first, second = (box(each) for each in elements(picture, "median"))
    interval, _ = (box(each) for each in elements(picture, "interval"))
    (middle_half,) = (box(each) for each in elements(picture, "bar"))
    assert middle_half[0] < interval[0] < first[0] + 1.25 < interval[0] + interval[2] < middle_half[0] + middle_half[2]
    assert first[0] < second[0]
    assert "quickest is 1 a with a median of 0.5 ms" in picture.text


def test_layers_stand_along_the_network_and_the_worst_are_marked():
    layers = [layer(n, local=10 * (n + 1), error_share=[0.1, 0.5, 0.0, -0.2][n]) for n in (2, 0, 3, 1)]
    picture = layer_charts.errors(layers_of(layers))
    bars = sorted(box(each) for style in ("bar", "worst") for each in elements(picture, style))
    heights = [height for *_, height in bars]
    assert len(bars) == 4
    assert [round(height / heights[0], 2) for height in heights] == [1, 2, 3, 4]
    assert [box(each)[0] for each in elements(picture, "worst")] == [bars[0][0], bars[1][0]]
    assert "1 block1, 50 %; 2 block0, 10 %." in picture.text
    numbers = sorted((float(each.get("x")), each.text) for each in elements(picture, "t bad"))
    assert [text for _, text in numbers] == ["2", "1"]


def test_no_error_is_drawn_at_the_ceiling():
    rows = [layer(0) | {"local_sqnr_db": None, "sqnr_db": None}, layer(1, local=500.0), layer(2, local=-9.0)]
    bars = [box(each) for style in ("bar", "worst") for each in elements(layer_charts.errors(layers_of(rows)), style)]
    assert sorted(height for *_, height in bars) == [0.0, 120.0, 120.0]


def test_clipping_is_drawn_to_scale():
    rows = [layer(0, clipped=0.002), layer(1, clipped=0.001), layer(2, clipped=0.0)]
    picture = layer_charts.ranges(layers_of(rows))
    boxes = [box(each) for style in ("bar", "worst") for each in elements(picture, style)]
    assert sorted(h for _, y, _, h in boxes if y >= 180) == [60.0, 120.0]
    assert [round(h) for _, y, _, h in boxes if y < 180] == [108, 96, 84]
    assert "1 block0, 0.20 %; 2 block1, 0.10 %" in picture.text


def test_hints_may_be_left_out():
    rows = layers_of([layer(n) for n in range(5)])
    with_hints, without = (len(layer_charts.errors(rows, hints).svg("p")) for hints in (True, False))
    assert without < with_hints
    assert "<title>block3" not in layer_charts.errors(rows, False).svg("p")


def test_marks_of_an_axis_never_read_alike(tmp_path):
    """Sizes of 497.86 and 498.22 kB: whole kilobytes would all be 498."""
    made = [record(f"n{n}", data=bytes([n]) * size) for n, size in enumerate((497_864, 498_216))]
    paths = [write(tmp_path, one) for one in made]
    (sizes,) = (c for c in comparisons(read_reported(paths)) if c.cost == "size_bytes")
    texts = [each.text for each in elements(scatter(sizes), "t faint") if (each.text or "").startswith(("497", "498"))]
    assert len(texts) >= 2
    assert len(set(texts)) == len(texts)
    assert all(497.8 < float(text) < 498.3 for text in texts)


def test_figures_that_were_not_measured_leave_no_bar():
    rows = [layer(0), layer(1) | {"range_use": None, "clipped_share": None, "error_share": None}]
    picture = layer_charts.ranges(layers_of(rows))
    boxes = [box(each) for style in ("bar", "worst") for each in elements(picture, style)]
    assert len([y for _, y, _, h in boxes if y < 180 and h]) == 1
    assert "2 " not in layer_charts.errors(layers_of(rows[1:])).text.partition("error:")[2]


def test_up_is_better_also_where_less_is(tmp_path):
    made = [several(f"n{n}", mae=(0.5, mae), latency=ms) for n, (mae, ms) in enumerate([(0.9, 1), (0.6, 2), (0.7, 9)])]
    found = comparisons(read_reported([write(tmp_path, each) for each in made]))
    (one,) = (c for c in found if c.cost == "latency_ms" and c.measure.metric == "MAE")
    picture = scatter(one)
    dots = [each for each in ET.fromstring(picture.svg("p")).iter() if each.tag.endswith("circle")]
    y = [float(dot.get("cy")) for dot in dots]
    assert sorted(range(3), key=y.__getitem__) == [1, 2, 0]  # the smallest error stands highest
    assert [dot.get("class") for dot in dots] == ["dot front", "dot front", "dot undecided"]
    assert "MAE, m: less is better" in [each.text for each in elements(picture, "t faint")]
    assert picture.title == "MAE in m against latency on local, Some CPU, ai-edge-litert 2.3.0, 1 thread"
