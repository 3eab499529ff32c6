"""Presets in a real Chromium: the page classifies as Python does, by the float twin and by int8 inside.

One of each kind of operation that a preset has; all of them are looked at by `benchmarks/web_presets.py`.
"""

import pytest
from web_browser import both_answers, check_alike, visit

from tfeff.artifact import open_artifact
from tfeff.cli import main
from tfeff.data import open_dataset
from tfeff.web import PageServer, site

pytest_plugins = ["web_browser"]

IMAGES = 100
# Group convolutions, gates and 5x5 kernels, shuffles, PReLU, dilated kernels and concatenations, shifts.
PRESETS = ("vargnet", "mobilenet_v3", "shufflenet_v2", "espnet_v2", "as_resnet")


@pytest.mark.parametrize("alias", PRESETS)
def test_the_page_classifies_as_python_does(chromium, alias, tmp_path):
    with pytest.raises(SystemExit) as stop:
        # Which ranges a file has makes no difference to whether two runtimes compute it alike.
        main(["export", alias, "--int8", "--target", "web", "--no-bench", "--no-correct-bias",
              "--evaluation-samples", "64", "--samples", "64", "--out", str(tmp_path), "--quiet"])  # fmt: skip
    assert stop.value.code == 0
    artifact = open_artifact(next(tmp_path.glob("*.json")))
    sample = open_dataset("fashion_mnist_sample", "test")
    images = [sample.image(n) for n in range(IMAGES)]
    with PageServer(site([artifact.path])) as server, visit(chromium, server.url) as page:
        answers = both_answers(page, artifact, images)
    (_, float_there, float_here), (file, there, here) = answers
    assert file == artifact.path
    assert there.shape == (IMAGES, len(artifact.record.tasks[0].labels))
    check_alike(float_there, float_here, quantized=False)
    check_alike(there, here, quantized=True)
    assert (there != float_there).any()  # int8 is inside: it is not the float twin again
