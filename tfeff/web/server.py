"""A small web server for the page, on the standard library.

It serves a table of files and nothing else, so no address can lead out of it. It listens on loopback unless told
otherwise; a request must name the server by an IP address or this machine's own name (another site cannot reach it
through a name of its own that it points here); bodies, connections and waiting are bounded.
"""

import http.server
import ipaddress
import json
import math
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError
from tfeff.files import check_regular
from tfeff.web.assets import Asset

MAX_CONNECTIONS = 64
IDLE_S = 30.0  # that a connection may stay silent
REQUEST_S = 60.0  # that a request may take, head and all, however it drips
SLOWEST = 32 << 10  # bytes a second, that a body or a file may take beyond that
LINGER_S, LINGER_BYTES = 2.0, 16 << 20
# Scripts and WebAssembly from this server only, and no request to any other host. Isolation gives threads and a clock
# of 5 microseconds.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Request:
    """A POST: its body, its headers by lower-case name, and who sent it."""

    body: bytes
    headers: Mapping[str, str]
    client: str


@dataclass(frozen=True)
class Reply:
    """What a POST is answered: an HTTP status and a JSON object."""

    status: int
    value: dict[str, Any]


@dataclass(frozen=True)
class Post:
    """An address that takes POSTs: what answers, and how many bytes a body may have.

    `admit`, called before the body is read, may refuse by the headers alone.
    """

    answer: Callable[[Request], Reply]
    max_bytes: int
    admit: Callable[[Request], Reply | None] = lambda request: None


class PageServer:
    """Serves files until it is closed; a context manager.

    Attributes:
        assets: by address relative to the root; may be added to while it runs.
        url: of the root, as this machine reaches it.
        public: whether other machines reach it: it listens on more than loopback.

    Raises:
        TfeffError: the address is taken or not this machine's, or the certificate cannot be used.
    """

    def __init__(
        self,
        assets: Mapping[str, Asset],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        posts: Mapping[str, Post] | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ):
        self.assets = dict(assets)
        self._posts = dict(posts or {})
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), self.assets, self._posts)
        except (OSError, OverflowError, ValueError, TypeError) as error:  # the last two: a name that none can have
            reason = getattr(error, "strerror", None) or error
            raise TfeffError(
                f"serve: cannot listen on {host}:{port} ({reason})", "choose another --port or --host"
            ) from None
        self.host, self.port = host, self._server.server_port
        if certificate:
            try:
                for file in (certificate, key):
                    if file is not None:
                        check_regular(file, "give PEM files: --certificate, --key")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, key)
            except TfeffError:
                self._server.server_close()
                raise
            except (OSError, ssl.SSLError) as error:
                self._server.server_close()
                raise TfeffError(
                    f"{certificate}: cannot be used as a certificate ({error})", "give PEM files: --certificate, --key"
                ) from None
            self._server.context = context
        # As the system understood the name: an empty one, or 0, is every address of this machine.
        bound = ipaddress.ip_address(str(self._server.server_address[0]).partition("%")[0])
        self.public = not bound.is_loopback
        shown = f"[{host}]" if ":" in host else host
        if bound.is_unspecified:
            shown = "127.0.0.1" if bound.version == 4 else "[::1]"
        self.url = f"{'https' if certificate else 'http'}://{shown}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening; safe to call again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> "PageServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], assets: Mapping[str, Asset], posts: Mapping[str, Post]):
        self.assets, self.posts = assets, posts
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._ends: dict[int, tuple[float, socket.socket]] = {}  # by the thread that serves the connection
        super().__init__(address, _Handler)

    def server_bind(self) -> None:  # HTTPServer's asks the network for this machine's full name: it may take seconds
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, address: Any) -> None:
        if not self._slots.acquire(blocking=False):  # a flood waits in no queue of ours
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, address)
        except BaseException:
            self._slots.release()
            raise

    def allow(self, seconds: float) -> None:
        """How long the connection that this thread serves may still take; then it is closed."""
        known = self._ends.get(threading.get_ident())
        if known is not None:
            self._ends[threading.get_ident()] = (time.monotonic() + seconds, known[1])

    def service_actions(self) -> None:
        """Ends connections whose time is over; called several times a second. A silence is not needed for it: who
        sends a byte now and then is ended too."""
        now = time.monotonic()
        for end, connection in list(self._ends.values()):
            if now > end:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it

    def process_request_thread(self, request: Any, address: Any) -> None:
        watched = None
        try:
            request.settimeout(IDLE_S)
            watched = request.dup()  # TLS takes the first one's place
            self._ends[threading.get_ident()] = (time.monotonic() + REQUEST_S, watched)
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, address)
        except (OSError, ValueError):  # no TLS, or gone
            self.shutdown_request(request)
        finally:
            self._ends.pop(threading.get_ident(), None)
            if watched is not None:
                watched.close()
            self._slots.release()

    def handle_error(self, request: Any, address: Any) -> None:
        """A browser that goes away in the middle is no error; what else goes wrong is answered in the handler."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "tfeff", ""
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def handle_one_request(self) -> None:
        self.server.allow(REQUEST_S)
        super().handle_one_request()

    def do_GET(self) -> None:
        if not self._host_is_ours():
            return
        address = self.path.partition("?")[0].lstrip("/") or "index.html"
        asset = self.server.assets.get(address)
        if asset is None:
            self._json(404, {"error": "no such file"})
            return
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        data = asset.data if asset.packed and takes_gzip else asset.plain
        self.send_response(200)
        self._headers(asset.type, len(data))
        self.send_header("Cache-Control", "max-age=31536000, immutable" if asset.lasting else "no-cache")
        if asset.packed:
            self.send_header("Vary", "Accept-Encoding")
            if takes_gzip:
                self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command == "GET":
            self.server.allow(REQUEST_S + len(data) / SLOWEST)
            self.wfile.write(data)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.close_connection = True  # whatever of the body is left unread goes with the connection
        if not self._host_is_ours():
            return
        post = self.server.posts.get(self.path.lstrip("/"))
        if post is None:
            self._json(404, {"error": "no such address"})
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        refused = post.admit(Request(b"", headers, self.client_address[0]))
        length = headers.get("content-length", "")
        if refused is None and not (length.isascii() and length.isdigit()):
            refused = Reply(411, {"error": "no Content-Length"})
        elif refused is None and (len(length) > 12 or int(length) > post.max_bytes):
            refused = Reply(413, {"error": f"more than {post.max_bytes} bytes"})
        if refused is not None:
            self._json(refused.status, refused.value)
            self._linger()
        else:
            self.server.allow(REQUEST_S + int(length) / SLOWEST)
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                return  # hung up in the middle
            self.server.allow(math.inf)  # what takes long now is ours
            reply = post.answer(Request(body, headers, self.client_address[0]))
            self.server.allow(REQUEST_S)
            self._json(reply.status, reply.value)

    def _linger(self) -> None:
        """Passes over some of an unread body, so that the sender gets to read why it is refused."""
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            deadline, left = time.monotonic() + LINGER_S, LINGER_BYTES
            while left > 0 and time.monotonic() < deadline:
                self.connection.settimeout(LINGER_S)
                got = self.connection.recv(1 << 16)
                if not got:
                    break
                left -= len(got)

    def _host_is_ours(self) -> bool:
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        known = {"localhost", socket.gethostname().lower(), str(self.server.server_name).lower()}
        if name in known or name.removesuffix(".local") in known or _is_address(name):
            return True
        self.close_connection = True
        self._json(421, {"error": "asked for under another name"})
        return False

    def _json(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self._headers("application/json", len(data))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _headers(self, kind: str, size: int) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        for name, value in HEADERS.items():
            self.send_header(name, value)

    def log_message(self, *arguments: object) -> None:
        pass  # the command says what is worth saying


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
