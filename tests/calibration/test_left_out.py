"""Images that have no say: which they are, and that the others' ranges are as if they had never been there."""

import numpy as np
import pytest
from calibration_network import DOORS, PREPROCESSING, TASK, calibrated_file, collected, pictures

from tfeff.calibration import Activations, Plan, audit, observe, parse_method
from tfeff.calibration.extremes import Extremes
from tfeff.calibration.left_out import distances, far_images, left_out

INPUTS = np.stack([PREPROCESSING(image) for image in pictures(100)[0]])
METHODS = ["minmax", "percentile", "image-percentile", "mse", "entropy", "auto"]


@pytest.fixture(scope="module")
def network():
    return calibrated_file()


def ranges(network, inputs, method, folder):
    """The ranges, and the numbers of the images that were left out."""
    calibration = collected(folder, images=inputs)
    float_file, chosen = Activations(network), parse_method(method)
    plan = Plan(float_file.tensors, chosen, (), DOORS)
    seen = observe(float_file, calibration.feeds(), calibration.names, folder, histograms=plan.histograms)
    calibration, seen = audit(calibration, float_file, seen, chosen, folder, tasks=[TASK])
    return [(each.low, each.high) for each in plan.ranges(seen)], calibration.left_out


@pytest.mark.parametrize("method", METHODS)
def test_as_if_they_had_never_been_there(network, method, tmp_path):
    spoilt = INPUTS.copy()
    spoilt[[20, 70]] *= 20
    found, numbers = ranges(network, spoilt, method, tmp_path)
    assert list(numbers) == [20, 70]
    assert found == ranges(network, np.delete(INPUTS, [20, 70], 0), method, tmp_path)[0]
    order = np.random.default_rng(1).permutation(100)
    assert ranges(network, spoilt[order], method, tmp_path)[0] == found


def extremes(folder, reach):
    """Of images whose tensors (n, t) reach so far."""
    made = Extremes(folder / "extremes.f32", reach.shape[1])
    with (folder / "extremes.f32").open("ab") as file:
        for row in reach:
            made.append(file, -row / 2, row)
    return made


def test_far_in_a_tenth_of_the_tensors(tmp_path):
    reach = np.random.default_rng(2).uniform(0.5, 1.0, (600, 50))
    reach[17, :4] *= 30  # 8 %
    reach[30, :6] *= 30  # 12 %
    reach[500, :] *= 4
    shares, most = distances(extremes(tmp_path, reach))
    assert far_images(shares).tolist() == [500, 30]
    assert shares[17] == pytest.approx(0.08)
    usual = np.percentile(reach, 95, axis=0, method="lower")
    assert most[30] == pytest.approx((reach[30] / usual).max(), rel=1e-6)


def test_a_dead_tensor_has_no_say(tmp_path):
    reach = np.ones((40, 5))
    reach[:, 2] = 0
    reach[3, 2] = 9  # in all other images it is 0: nothing can be said of it
    shares, _ = distances(extremes(tmp_path, reach))
    assert not shares.any()


def test_two_images_say_nothing_of_each_other(tmp_path):
    assert not distances(extremes(tmp_path, np.array([[1.0], [100.0]])))[0].any()


@pytest.mark.parametrize(
    ("far", "outside", "count", "expected"),
    [([5, 2], [2], 100, [2, 5]), ([], [7], 100, [7]), ([1, 2, 3], [4, 5, 6], 100, []), ([3], [], 19, [])],
)
def test_few_are_left_out_many_are_not(far, outside, count, expected):
    assert left_out(np.array(far, int), np.array(outside, int), count).tolist() == expected


@pytest.mark.parametrize("odd", [False, True])
def test_what_the_network_alone_makes_much_of_stays(network, tmp_path, odd):
    """The values of two images reach five times as far; they are left out where they are noise as well."""
    inputs = INPUTS.copy()
    if odd:
        noise = np.random.default_rng(3).integers(0, 256, (2, *inputs.shape[1:])).astype(np.uint8)
        inputs[[20, 70]] = [PREPROCESSING(each) for each in noise]
    calibration, float_file = collected(tmp_path, images=inputs), Activations(network)
    seen = observe(float_file, calibration.feeds(), calibration.names, tmp_path, histograms=())
    inner = np.array([tensor.input is None for tensor in float_file.tensors])
    held = np.fromfile(tmp_path / "extremes.f32", np.float32).reshape(100, -1, 2)
    held[np.ix_([20, 70], np.nonzero(inner)[0])] *= 5
    held.tofile(tmp_path / "extremes.f32")
    calibration, _ = audit(calibration, float_file, seen, parse_method("minmax"), tmp_path, tasks=[TASK])
    codes = {each.code: each for each in calibration.findings}
    assert list(calibration.left_out) == ([20, 70] if odd else [])
    assert sorted(codes["outlier-images" if odd else "far-images"].images) == ["train image 20", "train image 70"]
    assert ("far-images" in codes) is not odd
