"""`auto`: the loss against SciPy's, the trials in the runtime itself, any order of the samples, several tasks."""

import numpy as np
import pytest
from calibration_network import DOORS, PREPROCESSING, TASK, calibrated_file, collected, pictures
from scipy.special import softmax
from scipy.stats import entropy

from tfeff.calibration import Activations, Plan, audit, choice, choose, observe, parse_method, parse_rules
from tfeff.calibration.choice import Trial
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.tasks.criteria import Divergence, OutputError
from tfeff.tflite.writer import with_ranges

IMAGES = pictures(40)[0]
RNG = np.random.default_rng(6)


class Never(Divergence):
    """Nothing is near enough."""

    enough = None


NEVER = Never("logits")


class Always(Divergence):
    enough = 100.0


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with quantize.Converter(tmp_path_factory.mktemp("converter")) as converter:
        yield converter


@pytest.fixture
def trials(network, converter, tmp_path):
    """(images, rules, criteria) -> what was chosen, what was seen of the images, and what runs ranges."""

    def quantized(ranges):
        bounds = {each.tensor.index: (each.low, each.high) for each in ranges}
        (tmp_path / "ranged.tflite").write_bytes(with_ranges(network.read_bytes(), bounds))
        path = tmp_path / "int8.tflite"
        job = quantize.Job(str(tmp_path / "ranged.tflite"), "int8", "int8", str(path), step="quantize")
        converter.convert([job])
        return Runner(path)

    def run(images, rules=(), criteria=(NEVER,)):
        calibration, float_file, auto = collected(tmp_path, images=images), Activations(network), parse_method("auto")
        seen = observe(float_file, calibration.feeds(), calibration.names, tmp_path)
        calibration, seen = audit(calibration, float_file, seen, auto, tmp_path, tasks=[TASK])
        plans = [Plan(float_file.tensors, each, parse_rules(rules), DOORS) for each in auto.candidates]
        return choose(plans, criteria, float_file, seen, calibration, quantized), seen, quantized

    return run


def divergence(float_file, run):
    """By SciPy, of the class scores."""
    feeds = [{"image": PREPROCESSING(image)} for image in IMAGES]
    pairs = [[softmax(each(feed)["logits"].astype(float)) for each in (float_file.run, run)] for feed in feeds]
    return np.mean([entropy(*pair) for pair in pairs])


def test_the_nearest_is_kept(network, trials):
    found, seen, quantized = trials(IMAGES)
    assert found.criterion == Divergence.name
    assert sorted(each.method for each in found.trials) == sorted(m.name for m in parse_method("auto").candidates)
    assert list(found.losses) == sorted(found.losses) == [each.losses[0] for each in found.trials]
    assert found.losses[0] < found.losses[-1]
    float_file = Activations(network)
    for trial in (found.trials[0], found.trials[-1]):
        plan = Plan(float_file.tensors, parse_method(trial.method), (), DOORS)
        assert [(r.low, r.high) for r in plan.ranges(seen)] == [(r.low, r.high) for r in trial.ranges]
        assert trial.losses[0] == pytest.approx(divergence(float_file, quantized(trial.ranges)), rel=1e-6)


def test_plain_minmax_is_among_the_candidates(trials):
    found = trials(IMAGES, criteria=[OutputError(("logits",))])[0]
    by_method = {trial.method: trial.losses[0] for trial in found.trials}
    assert len(by_method) == 3
    assert found.losses[0] <= by_method["minmax"]
    assert found.criterion == OutputError.name


def test_one_that_is_near_enough_ends_the_search(trials):
    (only,) = trials(IMAGES, criteria=[Always("logits")])[0].trials
    assert only.method == parse_method("auto").candidates[0].name
    (only,) = trials(IMAGES, criteria=[Always("logits"), Always("logits")])[0].trials
    assert len(trials(IMAGES, criteria=[Always("logits"), Never("logits")])[0].trials) == 3


def test_any_order_gives_the_same_bits(trials, monkeypatch):
    monkeypatch.setattr(choice, "SAMPLES", 25)  # fewer than there are: which ones must not depend on the order
    said = [
        [(each.method, each.losses, [(r.low, r.high) for r in each.ranges]) for each in trials(images)[0].trials]
        for images in (IMAGES, IMAGES, IMAGES[::-1], RNG.permutation(IMAGES))
    ]
    assert said[0] == said[1] == said[2] == said[3]


def test_outputs_that_are_too_many_to_keep_are_computed_anew(trials, monkeypatch):
    kept = trials(IMAGES)[0]
    monkeypatch.setattr(choice, "_KEPT_BYTES", 100)
    assert trials(IMAGES)[0].losses == kept.losses


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
    trials = [Trial(method, values, []) for method, values in losses.items()]
    found = choice._ranked(trials, [OutputError(("a",)), OutputError(("b",))])
    assert found.trials[0].method == best
    assert found.losses[0] == relative
    assert "relative to that of minmax" in found.criterion


def test_what_is_enough_counts_as_equal_between_tasks():
    trials = [Trial("a", (0.0019, 0.5), []), Trial("minmax", (0.0001, 1.0), [])]
    assert choice._ranked(trials, [Divergence("logits"), OutputError(("b",))]).trials[0].method == "a"


def test_layers_with_a_rule_keep_it(trials):
    for trial in trials(IMAGES[:34], ["first=0:5"])[0].trials:
        (first,) = (each for each in trial.ranges if each.tensor.label == "first")
        assert (first.low, first.high, first.method) == (0, 5, "given")


def test_a_layer_has_no_auto_of_its_own():
    with pytest.raises(TfeffError, match="for all layers together"):
        parse_rules(["first=auto"])
