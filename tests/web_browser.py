"""A real Chromium for the tests of the page, driven by Playwright, and what every page of ours must keep to."""

import io
import json
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

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
            page.wait_for_selector("#scores[data-shown]", timeout=30_000)
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
    """Gives the page an image file as a user would; the outputs of each of its files, float32."""
    shown = int(page.get_attribute("#scores", "data-shown") or 0)
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})
    page.wait_for_selector(f'#scores[data-shown="{shown + 1}"]', timeout=30_000)
    return [np.float32(output) for output in json.loads(page.get_attribute("#scores", "data-outputs"))]
