"""The detector of `detector_files` as an artifact: int8 inside, float32 doors, its float twin and its record; modules
ask for it with `pytest_plugins`."""

import pytest
from compare_models import convert_ports
from detector_files import LABELS, MEAN, SHAPES, SIZE, SPEC, STD, detector_function, labelled_images
from web_models import write_record_2

from tfeff.data import Preprocessing

STEPS = Preprocessing(SIZE, "fit", mean=(MEAN,) * 3, std=(STD,) * 3)
NAMES = ["boxes_6", "scores_6", "boxes_12", "scores_12"]


@pytest.fixture(scope="session")
def detector_artifact(tmp_path_factory):
    """The path of `det.tflite`; beside it `det.twin.tflite` and `det.json`. Nobody writes there."""
    folder = tmp_path_factory.mktemp("detector_artifact")
    path, twin = folder / "det.tflite", folder / "det.twin.tflite"
    samples = [{"image": STEPS(image)[None]} for image, _ in labelled_images(8)]
    shape = {"image": ((1, *SIZE, 3), "float32")}
    convert_ports(detector_function, shape, twin)
    convert_ports(detector_function, shape, path, samples, io="float32")
    write_record_2(
        path, twin,
        inputs=[{"name": "image", "shape": [1, *SIZE, 3], "dtype": "float32", "preprocessing": STEPS.as_dict()}],
        outputs=[{"name": name, "shape": [1, *SHAPES[name]], "dtype": "float32"} for name in NAMES],
        tasks=[{"name": "detection", "outputs": NAMES, "labels": LABELS, "decode": SPEC}],
    )  # fmt: skip
    return path
