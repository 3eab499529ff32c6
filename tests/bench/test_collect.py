"""What the collector takes and what it refuses; refused is refused before anything is written."""

import base64
import http.client
import json
import threading

import numpy as np
import pytest
from web_browser import visit

from tfeff.artifact import open_artifact, read_record, record_path
from tfeff.bench import collect
from tfeff.bench.collect import MAX_BYTES, POSTS_A_MINUTE, Collector
from tfeff.compare import Runner
from tfeff.web import PageServer, site
from tfeff.web.site import probes

pytest_plugins = ["web_browser", "web_models"]


@pytest.fixture
def collecting(make_artifact, request):
    """A server that collects for one artifact; `send` posts to it."""
    path = make_artifact(**getattr(request, "param", {}))
    assets = site([path], collect=True)
    lines = []
    collector = Collector([open_artifact(path)], probes(assets), "2.5.3", lines.append)
    with PageServer(assets, posts={"collect": collector.post}) as server:
        server.lines, server.path, server.token = lines, path, collector.token
        server.before = record_path(path).read_bytes()
        yield server


def send(server, body, **headers):
    headers = {"X-Tfeff-Token": server.token, "Content-Type": "application/json", "User-Agent": "Phone/1", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", "/collect", body if isinstance(body, bytes) else json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def result(server, **changed):
    """What an honest page sends, with the outputs that this machine gives."""
    assets = server.assets
    (inputs,) = probes(assets).values()
    runner = Runner(server.path)
    names = [port.name for port in read_record(record_path(server.path)).outputs]  # the record's order, not the file's
    outputs = np.stack([np.concatenate([runner(one)[name] for name in names]) for one in inputs])
    one = {
        "sha256": runner.sha256,
        "rounds_ms": [[2.0, 2.1, 1.9, 2.0, 2.2], [2.0, 2.0, 2.0, 2.1, 1.9], [2.4, 2.0, 2.0, 1.8, 2.0]],
        "p90_ms": 2.5,
        "quantiles_ms": [1.8, 1.9, 2.0, 2.2, 2.9],
        "runs": 900,
        "outputs": base64.b64encode(outputs.tobytes()).decode(),
    }
    return {"accelerator": "wasm", "threads": 2, "cores": 8, "isolated": True, "results": [{**one, **changed}]}


def unwritten(server):
    assert record_path(server.path).read_bytes() == server.before
    assert server.lines == []
    return True


def test_an_honest_result_goes_into_the_record(collecting):
    status, answer = send(collecting, result(collecting))
    assert status == 200, answer
    (entry,) = open_artifact(collecting.path).record.latency
    assert (entry.device, entry.runtime, entry.version, entry.threads) == ("browser", "litert.js", "2.5.3", 2)
    assert (entry.median_ms, entry.quantiles_ms) == (2.0, [1.8, 1.9, 2.0, 2.2, 2.9])
    assert entry.ci95_ms[0] <= 2.0 <= entry.ci95_ms[1]
    assert entry.sha256 == open_artifact(collecting.path).sha256
    browser = entry.browser
    assert (browser.user_agent, browser.cores, browser.accelerator) == ("Phone/1", 8, "wasm")
    assert (browser.same_top1, browser.images) == (4, 4)
    assert browser.max_abs_difference < 1e-5
    assert "2 ms" in collecting.lines[0]
    assert "the answer is ours on 4 of 4 images, logits at most" in collecting.lines[0]


def test_outputs_that_differ_are_recorded_as_such(collecting):
    zeros = base64.b64encode(np.float32([[0, 0, 0, 0, 99]] * 4).tobytes()).decode()
    assert send(collecting, result(collecting, outputs=zeros))[0] == 200
    browser = open_artifact(collecting.path).record.latency[0].browser
    assert browser.max_abs_difference > 50
    (inputs,) = probes(collecting.assets).values()
    assert browser.same_top1 == sum(int(Runner(collecting.path)(one)["logits"].argmax()) == 4 for one in inputs)


HEADS = (("far", 3), ("near", 2))


@pytest.mark.parametrize("collecting", [{"heads": HEADS}], indirect=True)
def test_every_output_is_compared_and_the_worst_named(collecting):
    """Of a file with several outputs, whose record tells no task: there is no answer to be the same."""
    honest = result(collecting)
    assert send(collecting, honest)[0] == 200
    browser = open_artifact(collecting.path).record.latency[0].browser
    assert (browser.same_top1, browser.images) == (None, 4)
    assert browser.max_abs_difference < 1e-5
    assert "answer" not in collecting.lines[0]
    values = np.frombuffer(base64.b64decode(honest["results"][0]["outputs"]), "<f4").reshape(4, 5).copy()
    values[2, 4] += 3  # the last value of `near`, of the third sample
    assert send(collecting, result(collecting, outputs=base64.b64encode(values.tobytes()).decode()))[0] == 200
    assert "; near at most 3 apart" in collecting.lines[1]
    assert open_artifact(collecting.path).record.latency[0].browser.max_abs_difference == pytest.approx(3, rel=1e-3)
    assert collecting._posts["collect"].max_bytes == MAX_BYTES + 4 * 2 * values.nbytes // 3  # of both files
    one_output = base64.b64encode(np.ascontiguousarray(values[:, :3]).tobytes()).decode()
    status, answer = send(collecting, result(collecting, outputs=one_output))
    assert (status, "another size" in answer["error"]) == (400, True)


def test_a_second_result_of_the_same_browser_replaces_the_first(collecting):
    assert send(collecting, result(collecting))[0] == 200
    assert send(collecting, result(collecting))[0] == 200
    assert send(collecting, result(collecting), **{"User-Agent": "Another\x1b[31m" + "x" * 9000})[0] == 200
    agents = [entry.browser.user_agent for entry in open_artifact(collecting.path).record.latency]
    assert [agent[:7] for agent in agents] == ["Phone/1", "Another"]
    assert len(agents[1]) == 300
    assert "\x1b" not in agents[1]


def test_no_token_no_other_token_no_form(collecting):
    for token in ("", "x", collecting.token[:-1], collecting.token.swapcase(), "é"):
        assert send(collecting, result(collecting), **{"X-Tfeff-Token": token.encode()})[0] == 403
    # What a form or a script of another site can send without asking first.
    assert send(collecting, result(collecting), **{"Content-Type": "text/plain"})[0] == 415
    assert send(collecting, result(collecting), Host="evil.example")[0] == 421
    assert unwritten(collecting)


def test_another_artifacts_hash(collecting):
    for sha256 in ("0" * 64, "", None, 5, ["x"], collecting.path.name):
        status, answer = send(collecting, result(collecting, sha256=sha256))
        assert (status, "sha256" in answer["error"]) == (400, True)
        refill(collecting)
    assert unwritten(collecting)


def test_ten_megabytes_of_junk(collecting):
    assert send(collecting, b"{" * 10_000_000)[0] == 413
    assert send(collecting, b"[" * MAX_BYTES)[0] == 400
    assert send(collecting, b"\xff" * 1000)[0] == 400
    assert send(collecting, b"")[0] == 400
    assert unwritten(collecting)


def test_numbers_that_cannot_be(collecting):
    wrong = [
        {"rounds_ms": []}, {"rounds_ms": [[1.0] * 4]}, {"rounds_ms": [[1.0] * 61]}, {"rounds_ms": [[1.0] * 5] * 4},
        {"rounds_ms": [[1.0, 1.0, 1.0, 1.0, 0]]}, {"rounds_ms": [[1.0, 1.0, 1.0, 1.0, -1]]}, {"rounds_ms": [["1"] * 5]},
        {"rounds_ms": [[float("nan")] * 5]}, {"rounds_ms": [[float("inf")] * 5]}, {"rounds_ms": [[True] * 5]},
        {"rounds_ms": [[1e9] * 5]}, {"rounds_ms": {"0": [1.0] * 5}}, {"p90_ms": None}, {"p90_ms": 0}, {"runs": 3},
        {"quantiles_ms": [1.0] * 4}, {"quantiles_ms": [1, 3, 2, 4, 5]}, {"quantiles_ms": "12345"},
        {"runs": 1e5}, {"runs": 10**30}, {"outputs": ""}, {"outputs": "****"}, {"outputs": None}, {"outputs": "AAAA"},
        {"outputs": base64.b64encode(np.full((4, 5), np.nan, np.float32).tobytes()).decode()},
    ]  # fmt: skip
    for changed in wrong:
        status, answer = send(collecting, result(collecting, **changed))
        assert status == 400, (changed, answer)
        refill(collecting)
    assert unwritten(collecting)


def test_posts_that_are_no_results(collecting):
    honest = result(collecting)
    wrong = [
        [], None, 5, "x", {}, {**honest, "threads": 0}, {**honest, "threads": "2"}, {**honest, "cores": -1},
        {**honest, "accelerator": "<b>"}, {**honest, "isolated": 1}, {**honest, "results": []},
        {**honest, "results": honest["results"] * 9}, {**honest, "results": [None]}, {**honest, "results": "x"},
        {**honest, "results": [honest["results"][0], {}]},  # one good one: still nothing is written
    ]  # fmt: skip
    for value in wrong:
        assert send(collecting, value)[0] == 400, value
        refill(collecting)
    assert unwritten(collecting)


def test_a_flood_of_posts(collecting, monkeypatch):
    now = collect.monotonic()
    monkeypatch.setattr(collect, "monotonic", lambda: now)  # however slow this machine is
    body, statuses = json.dumps(result(collecting, sha256="0" * 64)).encode(), []

    def flood():
        for _ in range(10):
            statuses.append(send(collecting, body)[0])

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [400] * POSTS_A_MINUTE + [429] * (80 - POSTS_A_MINUTE)
    assert send(collecting, result(collecting))[0] == 429
    assert unwritten(collecting)
    now += 60
    assert send(collecting, result(collecting))[0] == 200


def test_a_record_that_was_replaced_meanwhile_is_left_alone(collecting):
    path = record_path(collecting.path)
    record = {**json.loads(path.read_text()), "sha256": "1" * 64}
    path.write_text(json.dumps(record))
    assert send(collecting, result(collecting))[0] == 500
    assert json.loads(path.read_text()) == record
    assert "was replaced" in collecting.lines[0]


def refill(server):
    """A minute later."""
    server._posts["collect"].admit.__self__._refilled -= 60


def test_the_page_measures_and_sends(chromium, collecting, monkeypatch):
    url = f"{collecting.url}#collect={collecting.token}"
    with visit(chromium, url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        page.click("#send")
        page.wait_for_selector("#send:not([disabled])", timeout=120_000)
        assert page.inner_text("#measured").startswith("Sent."), page.inner_text("#problem")
    (entry,) = open_artifact(collecting.path).record.latency
    assert (entry.browser.same_top1, entry.browser.isolated) == (4, True)
    assert entry.browser.max_abs_difference < 0.05
    assert "Chrome/" in entry.browser.user_agent
    assert entry.rounds >= 15
    assert 0 < entry.median_ms <= entry.p90_ms * 1.5
    assert len(collecting.lines) == 2  # the float twin's, too, is told


def test_the_button_is_there_only_with_a_token(chromium, collecting):
    with visit(chromium, collecting.url, ready=False) as page:
        page.wait_for_selector("body[data-ready=true]")
        assert page.is_hidden("#send")
    assert collect.MAX_BYTES < 10_000_000
