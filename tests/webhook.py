"""A webhook that keeps what it is sent, and may refuse, hang, drip or send elsewhere; none of our code."""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook:
    """`calls` are (method, path, body), `headers` what came with each; `answer` a status, `hang`, `drip`, or
    an address to go to instead; `said` the body of an answer.
    """

    def __init__(self, port):
        self.port = port
        self.answer = 200
        self.said = b""
        self.headers = deque()
        self.calls = deque()
        self.arrived = threading.Event()
        self.released = threading.Event()

    def url(self, scheme="json", secret=""):
        return f"{scheme}://127.0.0.1:{self.port}/{secret}"

    @property
    def bodies(self):
        return [json.loads(body)["message"] for _, _, body in self.calls]


@contextmanager
def webhook():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hook.headers.append(dict(self.headers))
            hook.calls.append((self.command, self.path, body))
            hook.arrived.set()
            answer = hook.answer
            if answer == "hang":
                hook.released.wait(60)
                return
            if answer == "drip":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                while not hook.released.wait(0.2):
                    self.wfile.write(b".")
                    self.wfile.flush()
                return
            self.send_response(answer if isinstance(answer, int) else 302)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.send_header("Content-Length", str(len(hook.said)))
            self.end_headers()
            self.wfile.write(hook.said)

        do_GET = do_POST  # noqa: N815  the name that http.server asks for

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A caller that was ended in mid-call is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    hook = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        hook.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
