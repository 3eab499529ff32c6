"""Scenes: the same bytes every time, annotations that agree with each other and with the pictures, and their cost."""

import hashlib

import numpy as np
import pytest

from tfeff.data import open_dataset
from tfeff.data.dataset import Subset
from tfeff.data.fashion_mnist import CLASSES
from tfeff.data.fashion_scenes import BASELINE, FAR, NEAR, SceneMaker


@pytest.fixture(scope="module")
def maker():
    return SceneMaker("test", sample=True)


@pytest.fixture(scope="module")
def scenes(maker):
    return [maker.scene(number, stereo=True) for number in range(60)]


def test_the_same_bytes_every_time(maker, scenes):
    digest = hashlib.sha256()
    for number, scene in enumerate(scenes[:20]):
        again = SceneMaker("test", sample=True).scene(number, stereo=True) if number < 2 else scene
        for name in vars(scene):
            assert np.array_equal(getattr(scene, name), getattr(again, name))
        for part in (scene.image, scene.right, scene.instances, scene.boxes.astype("<f4"), scene.classes.astype("<i8")):
            digest.update(part.tobytes())
    assert digest.hexdigest()[:16] == "2b964de3ad47e10b"


def test_a_scene_is_the_same_without_its_right_view(maker, scenes):
    alone = maker.scene(7)
    assert alone.right is None
    for name in ("image", "boxes", "classes", "instances", "semantic", "depth", "disparity"):
        assert np.array_equal(getattr(alone, name), getattr(scenes[7], name)), name


def test_splits_differ_and_have_their_own_items(maker):
    other = SceneMaker("train", sample=True)
    assert not np.array_equal(maker.scene(0).image, other.scene(0).image)
    assert len(other._images) == 512 != len(maker._images)


def test_boxes_masks_and_classes_agree(scenes):
    counts = np.bincount([len(scene.classes) for scene in scenes], minlength=6)
    assert counts[1:6].min() > 0
    for scene in scenes:
        assert scene.instances.max() == len(scene.boxes) == len(scene.classes)
        for number, (box, kind) in enumerate(zip(scene.boxes.astype(int), scene.classes, strict=True), 1):
            mine = scene.instances == number
            left, top, right, bottom = box
            assert mine[top:bottom, left:right].sum() == mine.sum() > 0
            assert all(
                mine[side].any() for side in np.s_[top, bottom - 1, (slice(None), left), (slice(None), right - 1)]
            )
            assert (scene.semantic[mine] == kind + 1).all()
        assert (scene.semantic[scene.instances == 0] == 0).all()


def test_depth_is_in_metres_and_disparity_in_pixels(scenes):
    for scene in scenes:
        assert np.allclose(scene.depth * scene.disparity, 96 * BASELINE, rtol=1e-6, atol=0)
        for number in range(1, len(scene.classes) + 1):
            depth = np.unique(scene.depth[scene.instances == number])
            assert len(depth) == 1
            assert NEAR * 0.999 < depth[0] < FAR * 1.001
        ground = scene.depth[scene.instances == 0]
        assert ground.size == 0 or ground.min() > FAR


def test_the_right_view_shows_the_same_points(scenes):
    """Looked up at its disparity a pixel is as in the left view; without that it is not."""
    moved, unmoved = [], []
    for scene in scenes:
        left, right = (each.astype(float).mean(axis=2) for each in (scene.image, scene.right))
        at = np.arange(96) - scene.disparity
        low = np.clip(np.floor(at).astype(int), 0, 94)
        shown = np.take_along_axis(right, low, 1) * (low + 1 - at) + np.take_along_axis(right, low + 1, 1) * (at - low)
        near = scene.seen_right & (at >= 0) & (at < 95) & (scene.instances > 0)
        moved.append(np.abs(shown - left)[near].mean())
        unmoved.append(np.abs(right - left)[near].mean())
        assert 0.6 < scene.seen_right.mean() <= 1
    assert 2 * np.median(moved) < np.median(unmoved)
    assert np.median(moved) < 6  # the noise and the half pixels


def test_nearer_things_are_larger(scenes):
    sizes = [(scene.boxes[k, 3] - scene.boxes[k, 1], float(scene.depth[scene.instances == k + 1][0]))
             for scene in scenes for k in range(len(scene.classes))]  # fmt: skip
    assert np.corrcoef(np.log(np.array(sizes)).T)[0, 1] < -0.7


def test_other_sizes():
    scene = SceneMaker("test", (64, 160), most=2, sample=True).scene(3, stereo=True)
    assert scene.image.shape == scene.right.shape == (64, 160, 3)
    assert scene.depth.shape == (64, 160)
    assert len(scene.classes) <= 2


def test_as_a_dataset():
    dataset = open_dataset("fashion_scenes_sample", "test")
    assert (len(dataset), dataset.classes, dataset.labels) == (2000, CLASSES, None)
    assert len(open_dataset("fashion_scenes_sample", "train")) == 20_000
    chosen = Subset(dataset, np.array([5, 3]))
    maker = SceneMaker("test", sample=True)
    for place, number in enumerate((5, 3)):
        scene, objects = maker.scene(number), chosen.annotations["objects"][place]
        assert np.array_equal(chosen.image(place), scene.image)
        assert np.array_equal(objects.boxes, scene.boxes)
        assert np.array_equal(objects.classes, scene.classes)
        assert not objects.crowd.any()
        assert np.array_equal(chosen.annotations["depth"][place], scene.depth)
        assert np.array_equal(chosen.annotations["semantic"][place], scene.semantic)
    assert chosen.annotations["right"][1].shape == (96, 96, 3)
    with pytest.raises(IndexError):
        dataset.annotations["objects"][2000]
