"""`auto`: the divergence against SciPy's, the trials in the runtime itself, and any order of the images."""

import numpy as np
import pytest
from calibration_network import DOOR, PREPROCESSING, calibrated_file, pictures
from scipy.special import softmax
from scipy.stats import entropy

from tfeff.calibration import Activations, Plan, audit, choice, choose, collect, observe, parse_method, parse_rules
from tfeff.compare import Runner
from tfeff.errors import TfeffError
from tfeff.export import quantize
from tfeff.tflite.writer import with_ranges

IMAGES = pictures(40)[0]
RNG = np.random.default_rng(6)


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with quantize.Converter(tmp_path_factory.mktemp("converter")) as converter:
        yield converter


@pytest.fixture
def trials(network, converter, tmp_path):
    """(images, rules) -> the trials, and what was seen of the images."""

    def quantized(ranges):
        bounds = {each.tensor.index: (each.low, each.high) for each in ranges}
        (tmp_path / "ranged.tflite").write_bytes(with_ranges(network.read_bytes(), bounds))
        path = tmp_path / "int8.tflite"
        job = quantize.Job(str(tmp_path / "ranged.tflite"), "int8", "int8", str(path), step="quantize")
        converter.convert([job])
        return Runner(path)

    def run(images, rules=()):
        np.savez(tmp_path / "images.npz", images=images)
        calibration = collect(str(tmp_path / "images.npz"), PREPROCESSING, tmp_path / "calibration.npy")
        float_file, auto = Activations(network), parse_method("auto")
        seen = observe(float_file, calibration.images(), calibration.names, tmp_path)
        calibration, seen = audit(calibration, PREPROCESSING, float_file, seen, auto, tmp_path)
        found = choose(auto, parse_rules(rules), DOOR, float_file, seen, calibration, quantized)
        return found, seen, quantized

    return run


def test_divergence_is_scipys():
    wanted, given = RNG.normal(0, 3, (30, 7)), RNG.normal(0, 3, (30, 7))
    logs = [[np.log(softmax(one)) for one in batch] for batch in (wanted, given)]
    expected = np.mean([entropy(softmax(one), softmax(other)) for one, other in zip(wanted, given, strict=True)])
    assert choice.divergence(*logs) == pytest.approx(expected, rel=1e-12)
    assert choice.divergence(logs[0][::-1], logs[1][::-1]) == choice.divergence(*logs)
    assert choice.divergence(logs[0], logs[0]) == 0


def test_the_nearest_is_kept(network, trials, monkeypatch):
    monkeypatch.setattr(choice, "ENOUGH", 0.0)
    found, seen, quantized = trials(IMAGES)
    assert sorted(each.method for each in found) == sorted(each.name for each in parse_method("auto").candidates)
    divergences = [each.divergence for each in found]
    assert divergences == sorted(divergences)
    assert divergences[0] < divergences[-1]
    inputs, float_file = [PREPROCESSING(image) for image in IMAGES], Activations(network)
    for trial in (found[0], found[-1]):
        plan = Plan(float_file.tensors, parse_method(trial.method), (), DOOR)
        assert [(r.low, r.high) for r in plan.ranges(seen)] == [(r.low, r.high) for r in trial.ranges]
        run = quantized(trial.ranges)
        pairs = [(softmax(float_file.run(x).astype(float)), softmax(run(x).astype(float))) for x in inputs]
        assert trial.divergence == pytest.approx(np.mean([entropy(*pair) for pair in pairs]), rel=1e-6)


def test_one_that_is_near_enough_ends_the_search(trials, monkeypatch):
    monkeypatch.setattr(choice, "ENOUGH", 100.0)
    (only,) = trials(IMAGES)[0]
    assert only.method == parse_method("auto").candidates[0].name


def test_any_order_gives_the_same_bits(trials, monkeypatch):
    monkeypatch.setattr(choice, "ENOUGH", 0.0)
    monkeypatch.setattr(choice, "IMAGES", 25)  # fewer than there are: which ones must not depend on the order
    said = [
        [(each.method, each.divergence, [(r.low, r.high) for r in each.ranges]) for each in trials(images)[0]]
        for images in (IMAGES, IMAGES, IMAGES[::-1], RNG.permutation(IMAGES))
    ]
    assert said[0] == said[1] == said[2] == said[3]


def test_layers_with_a_rule_keep_it(trials, monkeypatch):
    monkeypatch.setattr(choice, "ENOUGH", 0.0)
    for trial in trials(IMAGES[:34], ["first=0:5"])[0]:
        (first,) = (each for each in trial.ranges if each.tensor.label == "first")
        assert (first.low, first.high, first.method) == (0, 5, "given")


def test_a_layer_has_no_auto_of_its_own():
    with pytest.raises(TfeffError, match="for all layers together"):
        parse_rules(["first=auto"])
