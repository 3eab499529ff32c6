"""`tfeff serve` as a user calls it."""

import http.client
import json
import os
import signal
import subprocess
import sys

import pytest
from cli_runner import assert_refused, tfeff

from tfeff.artifact import check_tflite

pytest_plugins = ["web_models"]


def served(*arguments):
    command = [sys.executable, "-m", "tfeff", "serve", *map(str, arguments), "--port", "0", "--json"]
    # A shell without job control, as CI's, starts what is in the background deaf to Ctrl-C.
    ears = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **ears)
    told = ""
    while "}" not in told:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        told += line
    return process, json.loads(told)


def ask(port, address, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", address, headers=headers)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


@pytest.mark.parametrize(("ending", "code", "schema"), [(signal.SIGINT, 0, 2), (signal.SIGTERM, 143, 1)])
def test_serves_until_it_is_told_to_stop(make_artifact, ending, code, schema):
    path = make_artifact(schema=schema)
    process, told = served(path)
    try:
        assert told["url"] == f"http://127.0.0.1:{told['port']}/"
        assert ask(told["port"], "/")[0] == 200
        model = json.loads(ask(told["port"], "/models.json")[1])["models"][0]
        assert ask(told["port"], "/" + model["files"][1]["url"]) == (200, path.read_bytes())
        assert check_tflite(path) == model["files"][1]["sha256"]
    finally:
        process.send_signal(ending)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    assert f"serving {told['url']}" in err
    assert out == ""


def test_the_token_is_in_the_printed_address_only(make_artifact):
    process, told = served(make_artifact(), "--collect")
    try:
        token = told["url"].partition("#collect=")[2]
        assert len(token) >= 20
        for address in ("/", "/models.json", "/app.js", "/sw.js"):
            assert token.encode() not in ask(told["port"], address)[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_refusals(make_artifact, tmp_path, capfd):
    assert_refused(tfeff(capfd, "serve", tmp_path / "none.tflite"), "no such file")
    assert_refused(tfeff(capfd, "serve", make_artifact("door", doors="int8")), "int8", "--target web")
    assert_refused(tfeff(capfd, "serve", make_artifact("newer", schema_version=3)), "schema version 3", "update tfeff")
    assert_refused(tfeff(capfd, "serve", make_artifact("tampered", sha256="f" * 64)), "is not the file")
    path = make_artifact()
    assert_refused(tfeff(capfd, "serve", path, "--host", "198.51.100.7"), "cannot listen on 198.51.100.7")
    assert_refused(tfeff(capfd, "serve", path, "--key", tmp_path / "k"), "--certificate")
    assert_refused(tfeff(capfd, "serve", path, "--certificate", tmp_path / "c"), "cannot be used as a certificate")
    assert_refused(tfeff(capfd, "serve", path, "--samples", tmp_path / "none"), "no such folder")
    record = path.with_suffix(".json")
    record.write_text(record.read_text()[:100])
    assert_refused(tfeff(capfd, "serve", path), "not a readable record")
    assert os.listdir(tmp_path)  # and nothing of ours was removed
