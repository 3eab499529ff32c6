"""A real Chromium for the tests of the page, driven by Playwright, and what every page of ours must keep to."""

import io
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from tfeff.artifact import verify_twin
from tfeff.compare import Runner
from tfeff.data.preprocessing import from_record

FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)  # fmt: skip


def chromium_path():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium():
    """A browser; the tests that ask for it are skipped where there is none."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium or Chrome on this machine")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed (`pip install '.[test]'`)"
    )
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=[*FLAGS, *(["--no-sandbox"] if root else [])])
        yield browser
        browser.close()


@contextmanager
def visit(chromium, url, *, ready=True, **context):
    """A page of ours, opened and with its first result; afterwards: no error in the console, no request elsewhere.

    Yields the Playwright page; `page.faults` may be emptied by a test that provokes one.
    """
    opened = chromium.new_context(**context)
    try:
        page = opened.new_page()
        page.faults, page.asked = [], []
        page.on("console", lambda said: page.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        opened.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        if ready:
            page.wait_for_selector("#outputs[data-shown]", timeout=30_000)
        yield page
        assert page.faults == []
        root = url.partition("#")[0].partition("?")[0]
        elsewhere = [u for u in page.asked if not u.startswith((root, "blob:" + root, "data:"))]
        assert page.asked
        assert elsewhere == []
    finally:
        opened.close()


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def classify(page, data, name="image.png", kind="image/png"):
    """Gives the page an image file as a user would; `shown_outputs`."""
    shown = int(page.get_attribute("#outputs", "data-shown") or 0)
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})
    page.wait_for_selector(f'#outputs[data-shown="{shown + 1}"]', timeout=30_000)
    return shown_outputs(page)


def shown_outputs(page):
    """What the page shows now: for each of its files an array a port, of the port's shape without the batch."""
    files = page.evaluate(
        "document.getElementById('outputs').outputs.map((ports) => Object.entries(ports).map("
        "([name, { shape, data }]) => [name, shape, Array.from(data, Number)]))"
    )
    return [{name: np.float32(values).reshape(shape) for name, shape, values in ports} for ports in files]


def both_answers(page, artifact, images):
    """What the page and what Python make of the same images, for each of an artifact's files, the float twin first.

    The artifact has one output.

    Args:
        images: uint8, (h, w, channels) each; the page gets them one by one as PNG files.

    Returns:
        (file, outputs there, outputs here) of each file; outputs are float32, (images, classes).
    """
    there = [classify(page, png(image)) for image in images]
    preprocessing = from_record(artifact.record.inputs[0].preprocessing)
    given = [preprocessing(image) for image in images]
    name = artifact.record.outputs[0].name
    answers = []
    for number, file in enumerate([verify_twin(artifact), artifact.path]):
        runner = Runner(file)
        here = np.stack([runner(image)[name] for image in given])
        answers.append((file, np.stack([outputs[number][name] for outputs in there]), here))
    return answers


def check_alike(there, here, *, quantized):
    """That the page and Python say the same of each image, and what their kernels may differ by.

    In float that is the order of sums; in int8 a value on the edge between two steps, so one step of the outputs.

    Args:
        there, here: outputs, float32 (images, classes).
    """
    assert there.shape == here.shape
    assert (there.argmax(1) == here.argmax(1)).all()
    assert len(set(there.argmax(1))) > 1  # not one answer for all
    allowed = 1e-4
    if quantized:
        allowed += np.diff(
            np.unique(here)
        ).min()  # all outputs are multiples of a step; with so many, some are neighbours
    assert np.abs(there - here).max() <= allowed
