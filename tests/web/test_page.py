"""The page in a real Chromium: it classifies as Python does, asks no other host, and everybody can use it."""

import base64
import functools
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from web_browser import both_answers, check_alike, chromium_path, classify, png, shown_outputs, visit
from web_models import LABELS, PREPROCESSING

import tfeff.web
from tfeff.artifact import open_artifact
from tfeff.cli import main
from tfeff.compare import Runner
from tfeff.data import open_dataset
from tfeff.data.fashion_mnist import CLASSES
from tfeff.tasks import get_task
from tfeff.web import PageServer, site, write_page

pytest_plugins = ["web_browser", "web_models"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One bundled preset, exported as a user would. All of them: test_presets.py."""
    folder = tmp_path_factory.mktemp("web")
    with pytest.raises(SystemExit) as stop:
        main(["export", "pp_lcnet", "--int8", "--target", "web", "--no-bench", "--evaluation-samples", "200",
              "--samples", "64", "--out", str(folder), "--quiet"])  # fmt: skip
    assert stop.value.code == 0
    return next(folder.glob("*.json"))


@pytest.fixture(scope="module")
def preset_page(exported):
    with PageServer(site([exported])) as server:
        yield server


def noise(seed, shape=(50, 60, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def logits(page):
    """float32 (files, classes) that the page shows."""
    return np.stack([outputs["logits"] for outputs in shown_outputs(page)])


def test_classifies_a_hundred_images_as_python_does(chromium, exported, preset_page):
    artifact = open_artifact(exported)
    sample = open_dataset("fashion_mnist_sample", "test")
    with visit(chromium, preset_page.url) as page:
        answers = both_answers(page, artifact, [sample.image(n) for n in range(100)])
    for number, (_, there, here) in enumerate(answers):
        check_alike(there, here, quantized=number == 1)
        assert len(set(there.argmax(1))) == 10


@pytest.mark.parametrize("schema", [1, 2])
def test_any_image_any_network(chromium, make_artifact, schema):
    """Crop, BGR, upscaling, downscaling: what the bundled presets do not have."""
    path = make_artifact(schema=schema)
    runners = [Runner(path.with_name("small.twin.tflite")), Runner(path)]
    with PageServer(site([path])) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        assert page.inner_text("#answer") == "Ready: choose an image."
        for seed, shape in enumerate([(50, 60, 3), (5, 200), (24, 20, 3), (1, 1)]):
            image = noise(seed, shape)
            outputs = classify(page, png(image))
            for output, runner in zip(outputs, runners, strict=True):
                np.testing.assert_allclose(output["logits"], runner(PREPROCESSING(image))["logits"], atol=1e-4)


HEADS = (("age", 1), ("indoor", 1), ("objects", 6), ("features", 12))


TASKS = [
    {"name": "regression", "outputs": ["age"]},
    {"name": "classification", "outputs": ["indoor"], "labels": ["outdoor", "indoor"],
     "decode": {"kind": "binary", "scores": "logits", "threshold": 0.3}},
    {"name": "classification", "outputs": ["objects"], "labels": [f"object {n}" for n in range(6)],
     "decode": {"kind": "multi-label", "scores": "logits", "threshold": 0.5}},
    {"name": "tensors", "outputs": ["features"]},
]  # fmt: skip


def test_tasks_of_several_outputs_side_by_side(chromium, make_artifact):
    """Each output by its name, whatever LiteRT.js and the file's order call it, and what each task says of it."""
    path = make_artifact(heads=HEADS, tasks=TASKS)
    runners = [Runner(path.with_name("small.twin.tflite")), Runner(path)]
    image = noise(3)
    specs = open_artifact(path).record.tasks
    with PageServer(site([path])) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        found = classify(page, png(image))
        here = [runner(PREPROCESSING(image)) for runner in runners]
        for there, ours in zip(found, here, strict=True):
            assert there.keys() == ours.keys() == dict(HEADS).keys()
            for name in ours:
                np.testing.assert_allclose(there[name], ours[name], atol=1e-4)
        tables = page.query_selector_all("#outputs table")
        assert [table.query_selector("caption").inner_text() for table in tables] == [
            "age: Numbers", "indoor: Yes or no", "objects: Scores of the likeliest labels",
            "features: Outputs as numbers",
        ]  # fmt: skip
        for table, spec in zip(tables, specs, strict=True):
            text = table.inner_text()
            for outputs in found:
                picture = get_task(spec.name).draw(None, get_task(spec.name).decode(outputs, spec), spec)
                for words, score in picture.lines:
                    shown = f"{100 * score:.1f} %" if score is not None else words.rpartition(": ")[2].split(", ")[0]
                    assert shown in text, (spec.name, words, text)
        of = [words.partition(": ")[0] for words in page.inner_text("#answer").split("; ")]
        assert of == ["age", "indoor", "objects"]  # that of numbers has no words
        gap = max(np.abs(found[0][name] - found[1][name]).max() for name in found[0])
        words, _, figure = page.inner_text("#difference").rpartition(" ")
        assert words == "Largest difference of an output:"
        assert float(figure) == pytest.approx(gap, rel=0.005)


def test_outputs_that_nobody_described_are_shown_as_numbers(chromium, make_artifact):
    path = make_artifact(heads=(("b", 2), ("a", 20)))
    with PageServer(site([path])) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        (one, _) = classify(page, png(noise(5)))
        assert page.inner_text("#answer") == "What the outputs hold:"
        names = [cell.inner_text() for cell in page.query_selector_all("#outputs tbody th")]
        assert names == ["b [2]", "0", "1", "a [20], the first 8", *"01234567"]
        assert f"{one['a'][7]:.4g}" in page.inner_text("#outputs")


def test_the_first_result_comes_soon_and_shows_both_files(chromium, preset_page):
    with visit(chromium, preset_page.url) as page:
        assert page.inner_text("#answer") == "T-shirt/top, says either file"
        heads = [cell.inner_text() for cell in page.query_selector_all("#outputs thead th")]
        assert heads == ["class", "float", "int8", "difference, points"]
        rows = page.query_selector_all("#outputs tbody tr")
        assert len(rows) >= 5
        outputs = [one["logits"] for one in shown_outputs(page)]
        raised = np.exp(np.float64(outputs) - np.max(outputs, axis=1, keepdims=True))
        share = 100 * raised / raised.sum(axis=1, keepdims=True)
        first = [cell.inner_text() for cell in rows[0].query_selector_all("td")]
        top = int(np.argmax(outputs[0]))
        assert first[:2] == [f"{share[0, top]:.1f} %", f"{share[1, top]:.1f} %"]


def test_measuring_gives_median_and_p90(chromium, preset_page):
    with visit(chromium, preset_page.url) as page:
        page.wait_for_selector("body[data-ready=true]")
        page.click("#measure")
        page.wait_for_selector("#measure:not([disabled])", timeout=60_000)
        for row in page.query_selector_all("#times tbody tr"):
            median, p90, runs = (float(cell.inner_text()) for cell in row.query_selector_all("td"))
            assert 0 < median <= p90
            assert runs >= 20


def test_threads_give_the_same_outputs(chromium, preset_page):
    with visit(chromium, preset_page.url) as page:
        one = logits(page)
        page.wait_for_selector("#threads option:nth-child(2)", state="attached")
        page.select_option("#threads", "2")
        page.wait_for_selector('#outputs[data-shown="2"]')
        np.testing.assert_allclose(logits(page), one, atol=1e-4)


def test_webgpu_gives_the_same_class(chromium, preset_page):
    """On a GPU that Chromium makes of software, where it can."""
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--no-sandbox"]
    launched = chromium.browser_type.launch(executable_path=chromium_path(), args=flags)
    with launched as browser, visit(browser, preset_page.url) as page:
        page.wait_for_selector("body[data-offline]", timeout=30_000)  # the last thing at the start
        if page.query_selector("#accelerator option[value=webgpu]") is None:
            pytest.skip("this Chromium has no software GPU")
        one = logits(page)
        page.select_option("#accelerator", "webgpu")
        page.wait_for_selector('#outputs[data-shown="2"]', timeout=60_000)
        other = logits(page)
        np.testing.assert_allclose(other[0], one[0], atol=1e-4)
        assert (other.argmax(1) == one.argmax(1)).all()
        assert (other != one).any()  # another processor's rounding: it did run there


def test_works_without_a_network_once_loaded(chromium, exported):
    with PageServer(site([exported])) as server, visit(chromium, server.url) as page:
        page.wait_for_selector("body[data-offline]", timeout=30_000)
        before = logits(page)
        server.close()
        page.reload()
        page.wait_for_selector("#outputs[data-shown]", timeout=30_000)
        assert (logits(page) == before).all()
        assert page.evaluate("crossOriginIsolated") is True


def test_a_written_page_works_on_a_server_of_anybody(chromium, exported, tmp_path):
    """Python's own: it knows nothing of isolation; threads come with the service worker, at the second visit."""
    write_page([exported], tmp_path / "page")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "page"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with visit(chromium, f"http://127.0.0.1:{server.server_port}/") as page:
            assert page.inner_text("#answer") == "T-shirt/top, says either file"
            assert page.evaluate("crossOriginIsolated") is False
            page.wait_for_selector("body[data-offline]", timeout=30_000)
            page.reload()
            page.wait_for_selector("#threads option:nth-child(2)", state="attached", timeout=30_000)
            assert page.evaluate("crossOriginIsolated") is True
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_html_in_names_does_nothing(chromium, make_artifact, tmp_path):
    evil = "<img src=x onerror=document.title='broken'>"
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / f"{evil}.png").write_bytes(png(noise(1)))
    path = make_artifact(evil, preset=f"<script>document.title='broken'</script>{evil}")
    with PageServer(site([path], samples=folder)) as server, visit(chromium, server.url) as page:
        title = page.title()
        page.wait_for_selector("body[data-ready=true]")
        classify(page, png(noise(2)), name=f"{evil}.png")
        text = page.inner_text("#outputs")
        assert LABELS[2] in text  # shown as it is
        assert evil in page.inner_text("#files")
        page.set_input_files("#file", {"name": f"{evil}.png", "mimeType": "image/png", "buffer": b"no image"})
        page.wait_for_selector("#problem:not([hidden])")
        assert evil in page.inner_text("#problem")
        assert page.title() == title
        assert page.query_selector("main img[src=x], main script, #outputs b") is None


def test_faults_are_told_and_passed(chromium, make_artifact):
    path = make_artifact()
    assets = site([path])
    broken = {address for address in assets if address.endswith(".tflite")}
    with PageServer(assets) as server:
        for address in broken:
            server.assets[address] = type(assets[address])(b"TFL3 not a model", "application/octet-stream")
        with visit(chromium, server.url, ready=False) as page:
            page.wait_for_selector("#problem:not([hidden])")
            assert "LiteRT cannot run it" in page.inner_text("#problem")
            page.faults.clear()


def test_the_camera_is_classified_until_it_is_stopped(chromium, preset_page):
    with visit(chromium, preset_page.url, permissions=["camera"]) as page:
        page.wait_for_selector("body[data-ready=true]")
        shown = int(page.get_attribute("#outputs", "data-shown"))
        page.click("#camera")
        for _ in range(600):
            if int(page.get_attribute("#outputs", "data-shown")) >= shown + 3:
                break
            page.wait_for_timeout(50)
        else:
            pytest.fail("the camera's frames are not classified")
        page.click("#camera")
        assert page.is_hidden("#video")
        assert page.evaluate("document.getElementById('video').srcObject") is None
        assert page.is_hidden("#problem")


def test_a_file_that_is_not_the_listed_one_is_refused(chromium, make_artifact):
    path = make_artifact()
    assets = site([path])
    first, second = sorted(address for address in assets if address.endswith(".tflite"))
    with PageServer(assets | {first: assets[second]}) as server, visit(chromium, server.url, ready=False) as page:
        page.wait_for_selector("#problem:not([hidden])")
        assert "is not the file that the page lists" in page.inner_text("#problem")


def test_the_digest_of_pages_without_the_browsers_own(chromium):
    """Plain http from another machine: against Python's, around the ends of blocks of 64 bytes."""
    source = (Path(tfeff.web.__file__).parent / "page" / "src" / "sha256.js").read_text(encoding="utf-8")
    lengths = [*range(0, 130), 4096, 100_003]
    data = np.random.default_rng(5).integers(0, 256, max(lengths), np.uint8).tobytes()
    found = chromium.new_page()
    try:
        here = found.evaluate(
            "([source, data, lengths]) => { const all = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));"
            " const ours = new Function(`${source.replaceAll('export ', '')}; return sha256Here;`)();"
            " return lengths.map((length) => ours(all.slice(0, length))); }",
            [source, base64.b64encode(data).decode(), lengths],
        )
    finally:
        found.close()
    assert here == [hashlib.sha256(data[:length]).hexdigest() for length in lengths]


def check_accessible(page, width):
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (`pip install '.[test]'`)")
    page.evaluate(next(Path(axe.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_accessible_and_no_wider_than_the_screen(chromium, preset_page, width, scheme):
    size = {"width": width, "height": 844}
    with visit(chromium, preset_page.url, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        page.wait_for_selector("body[data-ready=true]")
        check_accessible(page, width)


def test_tables_of_several_tasks_are_accessible(chromium, make_artifact):
    size = {"width": 390, "height": 844}
    with (
        PageServer(site([make_artifact(heads=HEADS, tasks=TASKS)])) as server,
        visit(chromium, server.url, ready=False, viewport=size, bypass_csp=True) as page,
    ):
        page.wait_for_selector("body[data-ready=true]")
        classify(page, png(noise(4)))
        check_accessible(page, 390)


def test_everything_is_reached_by_keyboard(chromium, preset_page):
    with visit(chromium, preset_page.url) as page:
        page.wait_for_selector("body[data-ready=true]")
        page.wait_for_selector("#threads option:nth-child(2)", state="attached")
        page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(16):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.title"))
        assert reached[:2] == ["file", "camera"]
        assert reached[2:12] == list(CLASSES)
        assert reached[12:15] == ["accelerator", "threads", "measure"]
        page.focus("#samples button:nth-child(9)")
        page.keyboard.press("Enter")
        page.wait_for_selector('#outputs[data-shown="2"]')
        assert page.inner_text("#answer").startswith("Bag")
        assert page.get_attribute("#samples button:nth-child(9)", "aria-pressed") == "true"
