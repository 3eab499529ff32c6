"""Fetching the tool, from a server on the loopback."""

import hashlib
import http.server
import threading

import pytest

from tfeff.bench.adb.download import fetched_tool
from tfeff.errors import TfeffError

PROGRAM = b"\x7fELF" + bytes(range(200))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves what `answers` holds by path; counts requests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            if self.path not in server.answers:
                self.send_error(404)
                return
            data, length = server.answers[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.send_header("Last-Modified", "Tue, 03 Jun 2025 07:00:00 GMT")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked = {}, []
    server.address = f"http://127.0.0.1:{server.server_address[1]}/{{platform}}_benchmark_model"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_it_is_fetched_once_and_kept_with_its_hash_and_date(server, tmp_path):
    server.answers["/android_aarch64_benchmark_model"] = (PROGRAM, len(PROGRAM))
    first = fetched_tool("arm64-v8a", server.address)
    again = fetched_tool("arm64-v8a", server.address)
    assert first == again
    assert server.asked == ["/android_aarch64_benchmark_model"]
    assert first["sha256"] == hashlib.sha256(PROGRAM).hexdigest()
    assert first["version"] == "nightly of Tue, 03 Jun 2025 07:00:00 GMT"
    assert first["url"].endswith("/android_aarch64_benchmark_model")
    with open(first["path"], "rb") as file:
        assert file.read() == PROGRAM
    assert len(kept(tmp_path)) == 2


def test_a_kept_file_that_was_changed_is_refused(server, tmp_path):
    server.answers["/android_arm_benchmark_model"] = (PROGRAM, len(PROGRAM))
    found = fetched_tool("armeabi-v7a", server.address)
    with open(found["path"], "ab") as file:
        file.write(b"!")
    with pytest.raises(TfeffError, match="is not the file that was fetched"):
        fetched_tool("armeabi-v7a", server.address)


@pytest.mark.parametrize(
    ("answer", "says"),
    [(None, "404"), ((b"<html>no</html>", 15), "no program"), ((PROGRAM, 1000), "cannot be fetched|no program")],
)
def test_what_cannot_be_fetched_leaves_nothing(server, tmp_path, answer, says):
    if answer:
        server.answers["/android_aarch64_benchmark_model"] = answer
    with pytest.raises(TfeffError, match=says) as caught:
        fetched_tool("arm64-v8a", server.address)
    assert "--benchmark-binary" in str(caught.value)
    assert kept(tmp_path) == []


def test_no_server_and_no_such_build(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(TfeffError, match="cannot be fetched"):
        fetched_tool("arm64-v8a", "http://127.0.0.1:9/{platform}")
    with pytest.raises(TfeffError, match="none is published for x86_64"):
        fetched_tool("x86_64")
