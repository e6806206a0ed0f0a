"""Run the web application until a signal ends it, and then answer what was accepted."""

import signal
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from speaq.errors import SpeaqError

_GRACE = 5.0  # seconds


class _Server(uvicorn.Server):
    """A server that refuses new requests after SIGTERM or SIGINT, and ends when it has answered the others.

    A second signal ends it at once. Connections are closed if the headers of a request are not complete, or
    its answer is not received, `_GRACE` seconds after the time limit of a request.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain: float) -> None:
        super().__init__(config)
        self._service, self._drain, self._end = app.state.service, drain, 0.0
        self._connections: dict[Any, tuple[Any, float]] = {}  # the last request of each, and since when

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._service.draining = True
        self._end = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self._service.draining and not self._service.accepted and time.monotonic() >= self._end:
            self.should_exit = True
        self._close_slow_connections()
        return await super().on_tick(counter)

    def _close_slow_connections(self) -> None:
        now, before, self._connections = time.monotonic(), self._connections, {}
        for connection in list(self.server_state.connections):
            request = getattr(connection, "cycle", None)
            seen, since = before.get(connection, (None, now))
            if seen is not request:
                since = now
            if now - since > self._service.limits.timeout + _GRACE:
                connection.transport.abort()
            else:
                self._connections[connection] = request, since


def run(app: FastAPI, *, host: str = "127.0.0.1", port: int = 8000, drain: float = 0.0) -> None:
    """Serve an application of `create_app` until SIGTERM or SIGINT (Ctrl+C).

    Args:
        app: the application.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        drain: seconds after the signal in which the server at least answers that it is shutting down, so that
            a load balancer notices.

    Raises:
        SpeaqError: the address cannot be used.
    """
    config = uvicorn.Config(app, host=host, port=port, log_level="info", access_log=False, ws="none")
    try:
        listener = config.bind_socket()
    except SystemExit:  # the log has the reason
        raise SpeaqError(
            f"cannot listen on {host}, port {port}; choose others with --host and --port"
        ) from None
    with listener:
        _Server(config, app, drain).run(sockets=[listener])
