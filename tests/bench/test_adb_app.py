"""`--on adb --app`: the demo app's intent, driven through the real adb on a phone in this process."""

import json
import zipfile
from io import BytesIO

import pytest
from cli_runner import assert_refused, tfeff

from tfeff.bench.adb import app, client, protocol

pytest_plugins = ["compare_fixtures", "adb_daemon", "demo_app", "web_models"]


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(protocol, "MIN_ROUNDS", 2)
    monkeypatch.setattr(app, "BLOCK_MS", 1.0)


@pytest.fixture
def run(capfd, app_artifacts):
    """`tfeff bench --on adb --app`, of the int8 file where no files are named."""

    def bench(*arguments, files=None):
        files = [app_artifacts["int8"]] if files is None else files
        return tfeff(capfd, "bench", *files, "--on", "adb", "--app", "--max-seconds", "0.1", *arguments)

    return bench


def assert_no_trace(phone, demo_app):
    assert demo_app.left == []
    assert phone.left == []
    assert phone.running == []


def test_files_are_timed_in_the_app_compared_and_recorded(phone, demo_app, app_artifacts, run):
    demo_app.install()
    ran = run("--json", "--threads", "1,2", files=[app_artifacts["float"], app_artifacts["int8"]])
    assert ran.code == 0, ran.err
    results = ran.json["results"]
    assert [(one["threads"], one["sha256"]) for one in results] == [
        (threads, json.loads(app_artifacts[name].with_suffix(".json").read_text())["sha256"])
        for name in ("float", "int8") for threads in (1, 2)
    ]  # fmt: skip
    for one in results:
        assert (one["runtime"], one["version"]) == ("tensorflow-lite", "2.16.1")
        assert one["answer"]["ok"]
        assert one["answer"]["equal"]
        assert one["environment"]["tool"] == {"application": "org.tfeff.demo", "installed": False}
        assert one["rounds"] >= 2
        assert 0 < one["median_ms"] <= one["p90_ms"] <= one["p95_ms"]
        assert one["init_ms"] == 1.5
        assert one["preprocessing_ms"] > 0
        assert one["postprocessing_ms"] == pytest.approx(0.01)
        assert (one["pinned"], one["kernels"]["xnnpack"]) == (False, "unknown")
    assert {(one["threads"], one["b"]) for one in ran.json["ratios"]} == {
        (threads, str(app_artifacts["float"])) for threads in (1, 2)
    }
    (entry, _) = json.loads(app_artifacts["int8"].with_suffix(".json").read_text())["latency"]
    assert (entry["device"], entry["runtime"], entry["cpu"]) == ("adb", "tensorflow-lite", "Pretended")
    assert demo_app.apk == b"by hand"  # neither replaced nor removed
    assert demo_app.pm_log == []
    assert_no_trace(phone, demo_app)


def test_every_output_of_a_file_with_several_is_compared(phone, demo_app, make_artifact, run):
    demo_app.install()
    path = make_artifact(heads=(("far", 3), ("near", 2)))
    ran = run("--json", "--no-record", files=[path])
    assert ran.code == 0, ran.err
    (one,) = ran.json["results"]
    assert one["answer"]["equal"]
    assert {output["name"] for output in one["answer"]["outputs"]} == {"far", "near"}
    demo_app.does("wrong output")
    ran = run("--no-record", files=[path])
    assert ran.code == 1
    assert "output far is off this machine's" in " ".join(ran.err.split())
    assert_no_trace(phone, demo_app)


def test_a_phone_without_the_app_gets_it_for_the_time(phone, demo_app, run, monkeypatch):
    seen = []
    monkeypatch.setattr(app.AppTimer, "measure", _spied(app.AppTimer.measure, lambda: seen.append(demo_app.apk)))
    ran = run("--no-xnnpack")
    assert ran.code == 0, ran.err
    for word in ("equal bytes", "pre + post ms", "tensorflow-lite 2.16.1", "built-in"):
        assert word in ran.err
    with zipfile.ZipFile(BytesIO(seen[0])) as apk:
        assert "classes.dex" in apk.namelist()
        assert any(name.startswith("META-INF/") for name in apk.namelist()) or b"APK Sig Block 42" in seen[0]
    assert demo_app.pm_log == ["install", "uninstall"]
    assert demo_app.apk is None
    assert_no_trace(phone, demo_app)
    for intent in demo_app.intents[1:]:
        assert "--ez xnnpack false" in intent
    (copies,) = (command for command in phone.commands if "cp " in command)
    assert copies.index(".json") < copies.index(".selftest.png") < copies.index(".tflite")  # the app sees whole models
    models = {intent.split("--es model ")[1].split()[0] for intent in demo_app.intents[1:]}
    assert len(models) == 1
    assert len({intent.split("--es out ")[1].split()[0] for intent in demo_app.intents}) == len(demo_app.intents)


def _spied(method, see):
    def spy(*arguments):
        see()
        return method(*arguments)

    return spy


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("die", ("int8.tflite: the demo app died", "logcat")),
        ("lock", ("the screen is locked", "unlock it")),
        ("garble", ("int8.tflite: the demo app wrote an answer that cannot be read",)),
        ("another version", ("writes version 9 of its answer", "adb uninstall")),
        ("old", ("this app reads 1, found 2.0", "it is an older app", "adb uninstall")),
    ],
)
def test_an_app_that_fails(phone, demo_app, run, does, words):
    demo_app.install()
    demo_app.does(does)
    assert_refused(run(), *words)
    assert_no_trace(phone, demo_app)


def test_a_run_that_does_not_end(phone, demo_app, run, monkeypatch):
    monkeypatch.setattr(app, "ENDS_S", 6.0)
    demo_app.install()
    demo_app.does("hang")
    assert_refused(run(), "int8.tflite: the demo app did not end within 6 s")
    assert_no_trace(phone, demo_app)


@pytest.mark.parametrize("which", ["wrong input", "wrong output"])
def test_a_wrong_answer_has_no_time(phone, demo_app, app_artifacts, run, which):
    demo_app.install()
    demo_app.does(which)
    ran = run()
    assert ran.code == 1
    assert "WRONG" in ran.err
    told = {"wrong input": "another input of the self-test's picture", "wrong output": "steps off this machine's"}
    assert told[which] in ran.err
    assert not json.loads(app_artifacts["int8"].with_suffix(".json").read_text()).get("latency")
    assert_no_trace(phone, demo_app)


def test_a_phone_that_forbids_to_install(phone, demo_app, run):
    demo_app.does("refuse")
    assert_refused(run(), "cannot be installed", "INSTALL_FAILED_USER_RESTRICTED", "Install via USB")
    assert_no_trace(phone, demo_app)


def test_no_android(phone, run):
    assert_refused(run(), "is no Android")
    assert phone.left == []


def test_a_phone_that_goes_meanwhile(phone, demo_app, run, monkeypatch):
    monkeypatch.setattr(app.AppTimer, "measure", _spied(app.AppTimer.measure, phone.break_off))
    ran = run()
    assert ran.code in (0, 2)  # adb may connect anew before the next command
    assert_no_trace(phone, demo_app)
    assert demo_app.apk is None


def test_a_phone_that_goes_for_good_says_that_the_app_may_have_stayed(phone, demo_app, run, monkeypatch):
    monkeypatch.setattr(client, "CLEANING_S", (0, 0.1))
    phone.returns = False
    monkeypatch.setattr(app.AppTimer, "measure", _spied(app.AppTimer.measure, phone.break_off))
    assert_refused(run(), "the demo app (org.tfeff.demo)", "org.tfeff.demo/files", "may have stayed")


def test_an_answer_that_adb_may_not_read(phone, demo_app, run):
    demo_app.install()
    phone.program(
        "cat", 'case "$1" in *benchmarks*) echo "cat: $1: Permission denied"; exit 1;; esac\nexec /bin/cat "$@"'
    )
    assert_refused(run(), "wrote an answer that adb may not read", "Permission denied", "adb shell ls -la")
    assert_no_trace(phone, demo_app)


def test_a_block_is_no_longer_than_its_pre_processing_allows(monkeypatch):
    monkeypatch.setattr(app, "BLOCK_MS", 300.0)

    def runs(preprocessing, inference):
        times = {"preprocessing": (preprocessing,), "inference": (inference,), "postprocessing": (0.0,)}
        return app._runs(app.AppAnswer("", {}, **times))

    assert runs(1.0, 3.0) == 100
    assert runs(100.0, 0.1) == 29  # 3 s; a thousand runs would take 100
    assert runs(0.0, 0.1) == 1000
    assert runs(500.0, 2000.0) == 5


def test_what_the_app_cannot_do(demo_app, phone, app_artifacts, run, capfd):
    for options in (
        ["--cores", "big"],
        ["--delegate", "gpu"],
        ["--benchmark-binary", "x"],
        ["--require-full-delegation"],
    ):
        assert_refused(run(*options), f"{options[0]} beside --app")
    app_artifacts["int8"].with_suffix(".json").unlink()
    assert_refused(run(), "int8.tflite: has no record")
    assert_refused(tfeff(capfd, "bench", app_artifacts["float"], "--app"), "--app: is for a phone")
    assert demo_app.intents == []


def test_the_app_s_words():
    """What is no answer of this version."""
    for text in (
        "",
        "[]",
        "{}",
        '{"schema_version": 1, "status": "ok", "device": {"locked": false, "screen_on": true}}',
    ):
        with pytest.raises(app.TfeffError, match="cannot be read"):
            app.read_answer(text)
