"""A small real HTTP server in AppSync's place: records `publishTiles` and fails on purpose."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class MutationServer:
    """Answers each alias with its building, unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        """Decoded bodies, in the order of arrival."""
        self.headers: list[dict[str, str]] = []
        self.refused: set[str] = set()
        """Buildings answered with a GraphQL error inside an HTTP 200."""
        self.nulled: set[str] = set()
        """Buildings answered with null and no error."""
        self.errors: list[dict[str, Any]] = []
        """Errors added to every answer as they are."""
        self.status = 200
        self.body: bytes | None = None
        """Sent instead of an answer."""
        self.dropped = 0
        """So many requests are read and then answered with the end of the connection."""
        self.hang = threading.Event()
        self.hang.set()
        self.url = ""

    def batches(self) -> list[dict[str, Any]]:
        """Every TileBatchInput received."""
        return [batch for body in self.requests for batch in body["variables"].values()]

    def answer(self, body: dict[str, Any]) -> bytes:
        data: dict[str, Any] = {}
        errors = list(self.errors)
        for alias, batch in body["variables"].items():
            building = batch["buildingId"]
            data[alias] = {"buildingId": building}
            if building in self.refused | self.nulled:
                data[alias] = None
            if building in self.refused:
                error = {"path": [alias], "errorType": "MappingTemplate", "message": "on purpose"}
                errors.append(error)
        return json.dumps({"data": data, **({"errors": errors} if errors else {})}).encode()


@contextmanager
def mutation_server() -> Iterator[MutationServer]:
    """Listen on a free port of the loopback."""
    state = MutationServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(body)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            state.hang.wait(10)
            if state.dropped:
                state.dropped -= 1
                self.close_connection = True
                return
            answer = state.answer(body) if state.body is None else state.body
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            with suppress(ConnectionError):  # who asked may have given up
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/graphql"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
