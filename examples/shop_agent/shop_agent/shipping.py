"""The carrier's tracking service: HTTP on loopback, standing in for the one a real shop would ask."""

from __future__ import annotations

import json
import sys
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from shop_agent.data import SHIPMENTS

DELAY_S = 0.20


class ShippingService:
    """Answers `GET /shipments/{tracking_id}` from a daemon thread.

    Args:
        latency: Factor on the service's delay; 0 answers at once.
    """

    def __init__(self, *, latency: float = 1.0) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.delay_s = DELAY_S * latency
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="shipping", daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:49152`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


@cache
def shared_service() -> ShippingService:
    """The one service of this process, started when first asked for."""
    return ShippingService()


class _Server(ThreadingTCPServer):  # HTTPServer would look up the host's name, which can take seconds
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    delay_s = 0.0

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that did not wait: an early call may be dropped with its run."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        time.sleep(self.server.delay_s)
        folder, _, tracking_id = self.path.strip("/").partition("/")
        shipment = SHIPMENTS.get(tracking_id) if folder == "shipments" else None
        if shipment is None:
            self._answer(404, {"error": f"there is no shipment {tracking_id}"})
        else:
            status, location, expected_on = shipment
            found = {"tracking_id": tracking_id, "status": status, "location": location, "expected_on": expected_on}
            self._answer(200, found)

    def _answer(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
