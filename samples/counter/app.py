#!/usr/bin/env python3
"""A counter actor in plain Python: the app beside a sidecar, speaking Dapr's HTTP actor callbacks.

    app.py [PORT SIDECAR_HTTP_PORT [NAME]]

Without arguments the ports come from the environment, APP_PORT and DAPR_HTTP_PORT, as `troupe dev` gives them.

Methods of an actor of the type `counter`: `increment` (adds the JSON number of the body, or 1) and `get`. Both answer
`{"value": N, "host": NAME}`. The value is kept as actor state, so that it outlives the app, the sidecar and a move to
another host. The sidecar runs one turn of an actor at a time; that is why reading, adding and saving need no lock here.
"""
import json
import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1] if len(sys.argv) > 1 else os.environ["APP_PORT"])
SIDECAR_PORT = int(sys.argv[2] if len(sys.argv) > 2 else os.environ["DAPR_HTTP_PORT"])
SIDECAR = f"http://127.0.0.1:{SIDECAR_PORT}/v1.0"
NAME = sys.argv[3] if len(sys.argv) > 3 else f"app-{PORT}"


def load(actor_id):
    with urllib.request.urlopen(f"{SIDECAR}/actors/counter/{actor_id}/state/value") as answer:
        body = answer.read()
    return json.loads(body) if body else 0  # 204 without a body: no value yet


def save(actor_id, value):
    change = [{"operation": "upsert", "request": {"key": "value", "value": value}}]
    request = urllib.request.Request(
        f"{SIDECAR}/actors/counter/{actor_id}/state",
        data=json.dumps(change).encode(),
        headers={"content-type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self):
        """The body, whether it comes with a length or in chunks."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def do_GET(self):
        if self.path == "/dapr/config":
            self.answer(200, {"entities": ["counter"], "actorIdleTimeout": "1h"})
        else:
            self.answer(404)

    def do_PUT(self):
        body = self.read_body()
        parts = self.path.strip("/").split("/")
        if len(parts) != 5 or parts[:2] != ["actors", "counter"] or parts[3] != "method":
            return self.answer(404)
        actor_id, method = parts[2], parts[4]
        if method == "get":
            return self.answer(200, {"value": load(actor_id), "host": NAME})
        if method == "increment":
            value = load(actor_id) + (json.loads(body) if body else 1)
            save(actor_id, value)
            return self.answer(200, {"value": value, "host": NAME})
        return self.answer(404)

    def do_DELETE(self):
        self.answer(200)  # the sidecar deactivates an actor: nothing is kept in memory here

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    try:
        Server(("127.0.0.1", PORT), App).serve_forever()
    except KeyboardInterrupt:
        pass
