"""A web server in the test's own process, that counts requests and can fail."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Web:
    """Serves the entries of ``files``, path to content, on a free port.

    Attributes:
        files (dict[str, bytes]): What is served.
        headers (dict[str, str]): Further headers of every answer that is found.
        missing (dict[str, str]): Headers of the answer 404.
        cut (int | None): Close the connection after so many bytes.
        requests (list[str]): Method and path of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.cut: int | None = None
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def do_GET(self) -> None:
                self.answer(with_body=True)

            def answer(self, *, with_body: bool) -> None:
                web.requests.append(f"{self.command} {self.path}")
                content = web.files.get(self.path.partition("?")[0])
                self.send_response(404 if content is None else 200)
                found = {**web.headers, "Content-Length": str(len(content or b""))}
                headers = {**web.missing, "Content-Length": "0"} if content is None else found
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if content is not None and with_body:
                    self.wfile.write(content[: web.cut])

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        return Handler
