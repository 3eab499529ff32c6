"""Fetching the tool, from a server on the loopback: only what its user pinned."""

import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from tfeff.bench.adb.download import found_tool
from tfeff.errors import TfeffError

PROGRAM = b"\x7fELF" + bytes(range(200))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


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
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked = {}, []
    server.address = f"http://127.0.0.1:{server.server_address[1]}/tool"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_it_is_fetched_once_and_kept_under_its_hash(server, tmp_path):
    server.answers["/tool"] = (PROGRAM, len(PROGRAM))
    named = f"{server.address}#sha256={sha256(PROGRAM)}"
    first = found_tool(named)
    assert found_tool(named) == first
    assert server.asked == ["/tool"]
    assert (first["sha256"], first["url"]) == (sha256(PROGRAM), server.address)
    assert Path(first["path"]).read_bytes() == PROGRAM
    Path(first["path"]).write_bytes(PROGRAM + b"!")
    assert Path(found_tool(named)["path"]).read_bytes() == PROGRAM  # a kept file that was changed is not used
    assert kept(tmp_path) == [sha256(PROGRAM)]


def test_a_tool_that_nobody_pinned_is_not_fetched(server, tmp_path):
    server.answers["/tool"] = (PROGRAM, len(PROGRAM))
    with pytest.raises(TfeffError, match="names no sha256"):
        found_tool(server.address)
    with pytest.raises(TfeffError, match="none was named"):
        found_tool(None)
    with pytest.raises(TfeffError, match="what came has sha256"):
        found_tool(f"{server.address}#sha256={'0' * 64}")
    assert server.asked == ["/tool"]
    assert kept(tmp_path) == []
    assert found_tool("a/file") == {"path": "a/file"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [(None, "404"), ((b"<html>no</html>", 15), "no program"), ((b"\x7fEL", 1000), "cannot be fetched|no program")],
)
def test_what_cannot_be_fetched_leaves_nothing(server, tmp_path, answer, says):
    if answer:
        server.answers["/tool"] = answer
    wanted = sha256(answer[0] if answer else PROGRAM)
    with pytest.raises(TfeffError, match=says):
        found_tool(f"{server.address}#sha256={wanted}")
    assert kept(tmp_path) == []


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(TfeffError, match="cannot be fetched"):
        found_tool(f"http://127.0.0.1:9/tool#sha256={'0' * 64}")
