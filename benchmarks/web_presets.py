"""Shows that the page classifies as Python does: every artifact, float twin and int8 inside, in a real Chromium.

    python benchmarks/web_presets.py ARTIFACT... [--images 100]

Needs Chromium and Playwright (`pip install '.[test]'`). The artifacts: `tfeff export PRESET --int8 --target web`. Each
image (bundled Fashion-MNIST test images) is given to the page as a PNG file, as a user would; Python runs the same
artifact by LiteRT. Prints how long it took from opening the page to the first result, in a browser that never saw it;
for each file how many of the images get the same top-1, and the largest difference of an output. Exit code 1 when a
top-1 differs.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from web_browser import FLAGS, both_answers, chromium_path, visit

from tfeff.artifact import open_artifact
from tfeff.data import open_dataset
from tfeff.web import PageServer, site


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", nargs="+")
    parser.add_argument("--images", type=int, default=100)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    sample = open_dataset("fashion_mnist_sample", "test")
    images = [sample.image(n) for n in range(arguments.images)]
    missed = 0
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=[*FLAGS, "--no-sandbox"])
        print(f"{arguments.images} images, Chromium {chromium.version}")
        for path in arguments.artifacts:
            artifact = open_artifact(path)
            with PageServer(site([path])) as server:
                start = time.perf_counter()
                with visit(chromium, server.url) as page:  # until the first sample is classified, by both files
                    seconds = time.perf_counter() - start
                    answers = both_answers(page, artifact, images)
            print(f"{artifact.path.name}: first result after {seconds:.2f} s", flush=True)
            for file, there, here in answers:
                same = int((here.argmax(1) == there.argmax(1)).sum())
                missed += len(images) - same
                apart = np.abs(here - there).max()
                print(
                    f"{file.name}: same top-1 on {same} of {len(images)}, outputs at most {apart:.2g} apart", flush=True
                )
        chromium.close()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
