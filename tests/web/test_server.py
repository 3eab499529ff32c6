"""The server: what it gives, what it never gives, and that it is bounded."""

import gzip
import http.client
import socket
import ssl
import subprocess
import threading
import time

import pytest

from tfeff.errors import TfeffError
from tfeff.web import Asset, PageServer, Reply
from tfeff.web.server import MAX_CONNECTIONS, Post

WASM = b"\0asm" + bytes(2000)
ASSETS = {
    "index.html": Asset(b"<p>hello", "text/html"),
    "a.wasm": Asset(gzip.compress(WASM), "application/wasm", packed=True, lasting=True),
}


@pytest.fixture
def server():
    heard = []

    def answer(request):
        heard.append(request.body)
        return Reply(200, {"bytes": len(request.body)})

    def admit(request):
        return None if request.headers.get("x-pass") == "yes" else Reply(403, {"error": "no pass"})

    with PageServer(ASSETS, posts={"tell": Post(answer, 1000, admit)}) as running:
        running.heard = heard
        yield running


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def raw(server, data, read=True):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        found = b""
        while read and (part := connection.recv(65536)):
            found += part
        return found


def test_files_come_with_headers_that_isolate_them(server):
    status, headers, body = ask(server, "GET", "/")
    assert (status, body) == (200, b"<p>hello")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy  # no other host
    assert ask(server, "HEAD", "/index.html?x=1")[::2] == (200, b"")


def test_packed_files_are_sent_packed_to_those_who_take_it(server):
    status, headers, body = ask(server, "GET", "/a.wasm", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"], gzip.decompress(body)) == (200, "gzip", WASM)
    status, headers, body = ask(server, "GET", "/a.wasm")
    assert "Content-Encoding" not in headers
    assert body == WASM
    assert headers["Content-Type"] == "application/wasm"
    assert "immutable" in headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/..%2f..%2fetc/passwd", "//etc/passwd", "/etc/passwd", "/index.html/", "/tell", "/%00"],
)
def test_nothing_but_the_table_is_served(server, path):
    status, _, body = ask(server, "GET", path)
    assert status == 404
    assert b"root" not in body


def test_other_methods_are_refused(server):
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        status, headers, _ = ask(server, method, "/tell", **{"x-pass": "yes", "Origin": "http://evil.example"})
        assert status == 501
        assert not [name for name in headers if name.startswith("Access-Control")]
    assert ask(server, "POST", "/index.html")[0] == 404


def test_another_sites_name_for_this_address_is_refused(server):
    for name in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "localhost.evil.example"):
        assert ask(server, "GET", "/", Host=name)[0] == 421, name
        assert ask(server, "POST", "/tell", b"x", Host=name, **{"x-pass": "yes"})[0] == 421
    for name in ("127.0.0.1", f"localhost:{server.port}", "[::1]:80", "192.168.1.5:8000", socket.gethostname()):
        assert ask(server, "GET", "/", Host=name)[0] == 200, name
    assert server.heard == []


def test_posts_are_bounded_before_they_are_read(server):
    let = {"x-pass": "yes"}
    assert ask(server, "POST", "/tell", b"x" * 1000, **let)[0] == 200
    assert ask(server, "POST", "/tell", b"x" * 1001, **let)[0] == 413
    assert ask(server, "POST", "/tell", bytes(10_000_000), **let)[0] == 413
    assert ask(server, "POST", "/tell", b"x")[0] == 403
    assert ask(server, "POST", "/tell", bytes(10_000_000))[0] == 403
    for length in ("-1", "1e3", "0x10", "", "9" * 30, "0" * 20 + "5000"):
        head = f"POST /tell HTTP/1.1\r\nHost: localhost\r\nx-pass: yes\r\nContent-Length: {length}\r\n\r\n"
        assert raw(server, head.encode()).split(b" ")[1] in (b"411", b"413"), length
    head = "POST /tell HTTP/1.1\r\nHost: localhost\r\nx-pass: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(server, f"{head}5\r\nhello\r\n0\r\n\r\n".encode()).split(b" ")[1] == b"411"
    assert server.heard == [b"x" * 1000]


def test_a_sender_who_hangs_up_is_not_answered_for(server):
    raw(server, b"POST /tell HTTP/1.1\r\nHost: localhost\r\nx-pass: yes\r\nContent-Length: 500\r\n\r\nhalf", read=False)
    assert ask(server, "GET", "/")[0] == 200
    assert server.heard == []


def test_a_flood_of_connections_is_bounded_and_passes(server):
    held = []
    try:
        for _ in range(MAX_CONNECTIONS + 40):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        deadline = time.monotonic() + 10
        while (alive := _handlers()) < MAX_CONNECTIONS and time.monotonic() < deadline:
            time.sleep(0.02)
        assert alive <= MAX_CONNECTIONS
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 10
    while _handlers() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ask(server, "GET", "/")[0] == 200


def _handlers():
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_an_address_that_is_taken_or_not_ours(server):
    with pytest.raises(TfeffError, match="cannot listen on"):
        PageServer(ASSETS, port=server.port)
    with pytest.raises(TfeffError, match="cannot listen on"):
        PageServer(ASSETS, host="198.51.100.7")
    with pytest.raises(TfeffError, match="cannot listen on"):
        PageServer(ASSETS, host="no such host")


def test_it_listens_on_loopback_only_unless_told(server):
    assert server._server.server_address[0] == "127.0.0.1"


def test_https(tmp_path):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    with PageServer(ASSETS, certificate=certificate, key=key) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"<p>hello"
        connection.close()
    with pytest.raises(TfeffError, match="cannot be used as a certificate"):
        PageServer(ASSETS, certificate=key)


def test_it_can_be_closed_twice_and_leaves_no_thread():
    before = threading.active_count()
    server = PageServer(ASSETS)
    server.close()
    server.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("host", "public"), [("", True), ("0", True), ("0.0.0.0", True), ("127.0.0.1", False)])
def test_it_knows_whether_other_machines_reach_it(host, public):
    with PageServer({}, host=host) as server:
        assert server.public is public
        assert server.url == f"http://127.0.0.1:{server.port}/"


def test_a_request_that_drips_is_ended(monkeypatch):
    monkeypatch.setattr("tfeff.web.server.REQUEST_S", 0.5)
    with PageServer({}) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as dripping:
        ended = False
        for letter in b"GET / HTTP/1.1\r\nX: " + b"x" * 80:  # never silent for long
            try:
                dripping.sendall(bytes([letter]))
            except OSError:
                ended = True
                break
            time.sleep(0.05)
        assert ended
        assert not server._server._ends
