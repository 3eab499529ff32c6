"""`auto`: the loss against SciPy's, the trials in the runtime itself, judged on samples held out; when the plain way is
kept; any order of the samples, several tasks."""

import numpy as np
import pytest
from calibration_network import DOORS, TASK, calibrated_file, collected, pictures
from scipy.special import softmax
from scipy.stats import entropy

from tfeff.calibration import (
    Activations,
    Judge,
    Plan,
    Search,
    audit,
    held_out,
    judging,
    observe,
    parse_method,
    parse_rules,
)
from tfeff.calibration.choice import key
from tfeff.calibration.judging import Verdict
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.tasks.criteria import Divergence, OutputError
from tfeff.tflite.writer import with_ranges

IMAGES = pictures(80)[0]
RNG = np.random.default_rng(6)


class Never(Divergence):
    """Nothing is near enough."""

    enough = None


NEVER = Never("logits")


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with quantize.Converter(tmp_path_factory.mktemp("converter")) as converter:
        yield converter


@pytest.fixture
def trials(network, converter, tmp_path):
    """(images, rules) -> what was chosen, what was seen of the samples that ranges are found on, what runs ranges, and
    the inputs that were held out."""

    def quantized(ranges, corrected):
        assert not corrected
        bounds = {each.tensor.index: (each.low, each.high) for each in ranges}
        (tmp_path / "ranged.tflite").write_bytes(with_ranges(network.read_bytes(), bounds))
        path = tmp_path / "int8.tflite"
        job = quantize.Job(str(tmp_path / "ranged.tflite"), "int8", "int8", str(path), step="quantize")
        converter.convert([job])
        return Runner(path)

    def run(images, rules=()):
        calibration, float_file, auto = collected(tmp_path, images=images), Activations(network), parse_method("auto")
        seen = observe(float_file, calibration.feeds(), calibration.names, tmp_path)
        calibration, seen = audit(calibration, float_file, seen, auto, tmp_path, tasks=[TASK])
        which = held_out(calibration)
        seen = seen.without(float_file, calibration.feeds(which), which)
        plans = [Plan(float_file.tensors, each, parse_rules(rules), DOORS) for each in auto.candidates]
        judge = Judge(float_file, calibration, which, [NEVER])
        found = Search(judge, seen, quantized, correctable=False).choose(plans)
        return found, seen, quantized, list(calibration.feeds(which))

    return run


def divergence(float_file, run, feeds):
    """By SciPy, of the class scores."""
    pairs = [[softmax(each(feed)["logits"].astype(float)) for each in (float_file.run, run)] for feed in feeds]
    return np.mean([entropy(*pair) for pair in pairs])


def test_the_nearest_on_samples_held_out_is_kept(network, trials):
    found, seen, quantized, feeds = trials(IMAGES)
    assert found.criterion == Divergence.name
    assert {"minmax", "image-percentile:95"} <= {each.method for each in found.trials}
    assert list(found.losses) == [each.verdict.losses[0] for each in found.trials]
    assert len(feeds) == 20  # a quarter
    assert seen.kept.sum() == 60
    float_file = Activations(network)
    for trial in found.trials:
        expected = divergence(float_file, quantized(trial.plan.ranges(seen), False), feeds)
        assert trial.verdict.losses[0] == pytest.approx(expected, rel=1e-6)
    plain = next(each for each in found.trials if each.method == "minmax")
    assert found.losses[0] <= plain.verdict.losses[0]
    assert found.trials[0].verdict.is_no_worse(plain.verdict)


def test_what_is_held_out_has_no_say(network, tmp_path):
    """Ranges are those of the other samples alone; and of what each output gives the ratio is numpy's."""
    calibration, float_file = collected(tmp_path, images=IMAGES), Activations(network)
    seen = observe(float_file, calibration.feeds(), calibration.names, tmp_path, histograms=[1])
    which = held_out(calibration)
    others = np.setdiff1d(np.arange(len(IMAGES)), which)
    (tmp_path / "others").mkdir()
    alone = collected(tmp_path / "others", images=IMAGES[others])
    only = observe(float_file, alone.feeds(), alone.names, tmp_path / "others", histograms=[1])
    for method in ("minmax", "image-percentile:95", "percentile:90"):
        plan = Plan(float_file.tensors[1:2], parse_method(method), (), {})
        part = seen.without(float_file, calibration.feeds(which), which)
        one, other = (list(each.statistics())[1] for each in (part, only))
        assert plan.method.range_of(one) == plan.method.range_of(other)
    assert seen.kept is None  # as it was
    verdict = Judge(float_file, calibration, which, [OutputError(("logits",))])(
        lambda feed: {"logits": float_file.run(feed)["logits"] + np.float32(0.25)}
    )
    values = np.stack([float_file.run(feed)["logits"] for feed in calibration.feeds(which)]).astype(float)
    ratio = 10 * np.log10(np.sum(values**2) / (0.25**2 * values.size))
    assert verdict.sqnr_db()["logits"] == pytest.approx(ratio, abs=0.01)
    assert verdict.losses[0] == pytest.approx(10 ** (-ratio / 10), rel=1e-4)


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (5, 2), (20, 10), (40, 16), (64, 16), (72, 18)])
def test_how_many_are_held_out(tmp_path, count, held):
    assert len(held_out(collected(tmp_path, images=IMAGES[:count]))) == held


def test_any_order_gives_the_same_bits(trials, monkeypatch):
    monkeypatch.setattr(judging, "SAMPLES", 15)  # fewer than there are: which ones must not depend on the order
    said = [
        [(each.method, each.verdict.losses, [(r.low, r.high) for r in each.plan.ranges(seen)]) for each in found.trials]
        for found, seen, *_ in map(trials, (IMAGES, IMAGES, IMAGES[::-1], RNG.permutation(IMAGES)))
    ]
    assert said[0] == said[1] == said[2] == said[3]


def test_outputs_that_are_too_many_to_keep_are_computed_anew(trials, monkeypatch):
    kept = trials(IMAGES)[0]
    monkeypatch.setattr(judging, "_KEPT_BYTES", 100)
    assert trials(IMAGES)[0].losses == kept.losses


def verdict(loss, *errors):
    """Of outputs with these errors in each of ten samples."""
    found = {str(number): np.full(10, float(error)) for number, error in enumerate(errors or (loss,))}
    return Verdict((loss,), found, dict.fromkeys(found, 1e4))


class Table:
    """In place of `Judge`: the verdicts of a table by (method, corrected)."""

    def __init__(self, verdicts, criterion=NEVER):
        self.verdicts, self.criteria, self.asked = verdicts, (criterion,), []

    def __call__(self, way):
        self.asked.append(way)
        return self.verdicts[way]


class Named:
    """In place of `Plan`: its ranges are its name."""

    def __init__(self, method):
        self.method = method

    def ranges(self, seen):
        return self.method.name


def chosen(verdicts, criterion=NEVER, method="auto"):
    """(method, corrected) of what is kept, the ways that were tried, what was chosen."""
    table, wanted = Table(verdicts, criterion), parse_method(method)
    plans = [Named(each) for each in wanted.candidates or (wanted,)]
    found = Search(table, None, lambda ranges, corrected: (ranges, corrected), correctable=True).choose(plans)
    return (found.trials[0].method, found.trials[0].corrected), table.asked, found


P95, P90, PLAIN = "image-percentile:95", "image-percentile:90", "minmax"


def test_the_plain_way_is_kept_where_others_are_worse():
    ways = {(PLAIN, False): verdict(1.0), (PLAIN, True): verdict(1.5), (P95, True): verdict(2.0)}
    kept, asked, found = chosen(ways)
    assert kept == (PLAIN, False)
    assert asked == [(PLAIN, False), (P95, True), (PLAIN, True)]  # none narrower than what was no good
    assert [found.loss_of(each) for each in found.correction] == [1.0, 1.5]


def test_no_output_pays_for_another():
    """Nearer by the criterion, but one output is farther from float."""
    ways = {(PLAIN, False): verdict(1.0, 1.0, 1.0), (PLAIN, True): verdict(0.9, 0.9, 0.9),
            (P95, True): verdict(0.5, 0.1, 1.1), (P90, True): verdict(0.4, 0.1, 1.2)}  # fmt: skip
    assert chosen(ways)[0] == (PLAIN, True)


@pytest.mark.parametrize(("bare", "corrected"), [(0.4, False), (0.6, True)])
def test_biases_are_corrected_where_that_is_nearer(bare, corrected):
    ways = {(PLAIN, False): verdict(1.0), (PLAIN, True): verdict(0.9), (P95, True): verdict(0.5),
            (P90, True): verdict(0.7), (P95, False): verdict(bare)}  # fmt: skip
    kept, asked, found = chosen(ways)
    assert kept == (P95, corrected)
    assert len(asked) == len(set(asked)) == 5
    assert [found.loss_of(each) for each in found.correction] == [bare, 0.5]


def test_a_method_of_the_user_s_is_kept_and_biases_are_tried():
    ways = {("mse", False): verdict(1.0), ("mse", True): verdict(1.1)}
    assert chosen(ways, method="mse")[0] == ("mse", False)
    ways["mse", True] = verdict(0.2)
    assert chosen(ways, method="mse")[0] == ("mse", True)


def test_one_that_is_near_enough_ends_the_search():
    ways = {(PLAIN, False): verdict(0.0005), (P95, True): verdict(0.0004), (P95, False): verdict(0.0006)}
    kept, asked, _ = chosen(ways, Divergence("logits"))
    assert kept == (P95, True)
    assert len(asked) == 3
    # But not one by which an output is farther from float than plainly.
    ways = {(PLAIN, False): verdict(0.0005), (P95, True): verdict(0.0019), (PLAIN, True): verdict(0.0007)}
    assert chosen(ways, Divergence("logits"))[0] == (PLAIN, False)


def test_what_may_be_chance_is_no_better():
    """The same sum of errors: once a little less in every sample, once much more in one."""
    plain = Verdict((1.0,), {"a": np.full(10, 1.0)}, {"a": 100.0})
    even = Verdict((0.9,), {"a": np.full(10, 0.9)}, {"a": 100.0})
    odd = Verdict((0.9,), {"a": np.array([4.5, 0.5] + [0.5] * 8)}, {"a": 100.0})
    assert even.errors["a"].sum() == pytest.approx(odd.errors["a"].sum())
    assert even.is_no_worse(plain)
    assert not odd.is_no_worse(plain)
    # Ranges that end somewhere: one sample hides in both what the nine others tell.
    ends = np.array([1000.0] + [0.0] * 9)
    hidden, behind = (Verdict((1.0,), {"a": ends + each}, {"a": 1e6}) for each in (1.0, 1.5))
    assert behind.errors["a"].sum() < 1.01 * hidden.errors["a"].sum()
    assert not behind.is_no_worse(hidden)
    assert hidden.is_no_worse(behind)
    assert plain.is_no_worse(plain)
    assert not plain.is_no_worse(even)


@pytest.mark.parametrize(
    ("losses", "best", "relative"),
    [
        # No task pays for another: what is worse than min-max for one is not taken, however good for the other.
        ({"a": (0.01, 1.1), "b": (0.9, 0.9), "minmax": (1.0, 1.0)}, "b", 0.9),
        ({"a": (0.01, 1.1), "b": (0.9, 1.2), "minmax": (1.0, 1.0)}, "minmax", 1.0),
        ({"a": (0.5, 0.9), "b": (0.9, 0.9), "minmax": (1.0, 1.0)}, "a", 0.9),
    ],
)
def test_several_tasks_are_weighed_against_minmax(losses, best, relative):
    criteria = [OutputError(("a",)), OutputError(("b",))]
    keys = {name: key(each, losses["minmax"], criteria) for name, each in losses.items()}
    assert min(keys, key=keys.get) == best
    assert keys[best][0] == relative


def test_what_is_enough_counts_as_equal_between_tasks():
    criteria = [Divergence("logits"), OutputError(("b",))]
    assert key((0.0019, 0.5), (0.0001, 1.0), criteria) < key((0.0001, 1.0), (0.0001, 1.0), criteria)


def test_layers_with_a_rule_keep_it(trials):
    found, seen, *_ = trials(IMAGES[:34], ["first=0:5"])
    for trial in found.trials:
        (first,) = (each for each in trial.plan.ranges(seen) if each.tensor.label == "first")
        assert (first.low, first.high, first.method) == (0, 5, "given")


def test_a_layer_has_no_auto_of_its_own():
    with pytest.raises(TfeffError, match="for all layers together"):
        parse_rules(["first=auto"])


def test_nearer_is_more_than_chance():
    random = np.random.default_rng(1)
    one, other = random.gamma(2, 1, (2, 24))
    verdict = lambda errors: Verdict((0.0,), {"y": errors}, {"y": 1000.0})  # noqa: E731
    assert not verdict(one).is_nearer(verdict(one))
    assert verdict(0.6 * one).is_nearer(verdict(one))
    assert not verdict(one).is_nearer(verdict(0.6 * one))
    shuffled = verdict(random.permutation(one) * 0.99)  # less by a hundredth, and each by anything
    assert not shuffled.is_nearer(verdict(one))
    # Where a few samples are lost in either, nothing can be told.
    lost = np.where(np.arange(24) < 2, 1e4 * other, one)
    assert not verdict(np.where(np.arange(24) < 2, 1e4 * other[::-1], 0.6 * one)).is_nearer(verdict(lost))
