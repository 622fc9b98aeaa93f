"""mitmweb for debugging: pages that show the last calls, and change nothing."""

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mitmproxy import http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.tools.web import app
from mitmproxy.tools.web.webaddons import WebAddon, WebAuth
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import ErrorHandler

from mitm_addons.flows import state_of
from mitm_addons.stock.masking import BODY_KEPT, masked_copy
from shared.settings import Settings
from shared.settings.listen import check_listen

#: Calls that are listed; the oldest is removed first.
CALLS_KEPT = 500
_HOST = "127.0.0.1"
_BODY_LIMIT = 1024  # bytes; nothing here takes a body
_UNAUTHORIZED = "The token is missing or wrong. Open the address that run_proxy.py printed at its start.\n"
_NOTICE = (
    b'<div style="position:fixed;bottom:0;left:0;right:0;z-index:9999;pointer-events:none;'
    b'text-align:center;background:#ffd;color:#000;border-top:1px solid #aa0">'
    b"Read only: editing, replay and commands are off. Secrets are masked.</div>"
)
# Hides what would change something, since no handler serves it: the menu File, the tabs Capture and Options,
# and the buttons to replay, intercept, export and edit.
_STYLE = (
    b"<style>.nav-tabs-lg > .special, .nav-tabs-lg > a:nth-of-type(2), .nav-tabs-lg > a:nth-of-type(4), "
    b'.menu-group:has([title="[a]ccept all"]), .menu-group:has([title="[r]eplay flow"]), '
    b'.menu-group:has([title="[a]ccept intercepted flow"]), [title="Export flow."], '
    b'.controls button:has(.fa-edit), [title="Upload a file to replace the content."] '
    b"{display: none !important}</style>"
)


@contextlib.contextmanager
def pages(master: Master, settings: Settings, server: Proxyserver, feed: "Feed") -> Iterator[None]:
    """Serve mitmweb for the calls of `feed` until the context ends. Raises `CannotListen`."""
    add_web(master, settings)
    running = _listen(_Shown(master.options, master.addons, server, feed.view))
    sys.stderr.write(f"mitmweb (read only): {master.addons.get('webauth').web_url}\n")
    sys.stderr.flush()
    try:
        yield
    finally:
        running.stop()


def add_web(master: Master, settings: Settings) -> None:
    """Add mitmweb's options and its token to the gateway's master."""
    master.addons.add(WebAddon(), WebAuth())
    master.options.update(web_host=_HOST, web_port=settings.server.web_port, web_open_browser=False)


class Feed:
    """Lists masked copies of the last calls, never the flows themselves. A stream is copied as it is sent."""

    def __init__(self) -> None:
        self.view = View()
        self._listed: deque[http.HTTPFlow] = deque()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        response = flow.response
        if response is None or not response.stream:
            return
        kept = bytearray()
        flow.stream_kept = kept  # type: ignore[attr-defined]  # it ends with the flow
        stream: Any = response.stream if callable(response.stream) else lambda piece: piece

        def copied(piece: bytes) -> Any:
            sent = stream(piece)
            pieces = (sent,) if isinstance(sent, bytes) else tuple(sent)
            for one in pieces:
                kept.extend(one[: BODY_KEPT - len(kept)])
            return pieces

        response.stream = copied

    def post_response(self, flow: http.HTTPFlow) -> None:
        state, kept = state_of(flow), getattr(flow, "stream_kept", None)
        if state and state.is_health_check:
            return
        copy = masked_copy(flow, None if kept is None else bytes(kept))
        self.view.add([copy])
        self._listed.append(copy)
        app.ClientConnection.broadcast_flow("flows/add", copy)
        if len(self._listed) > CALLS_KEPT:
            oldest = self._listed.popleft()
            self.view.remove([oldest])
            app.ClientConnection.broadcast(type="flows/remove", payload=oldest.id)


@dataclass
class _Shown:
    """All that mitmweb's pages can reach of a master: no commands, and no loading of flows."""

    options: Options
    addons: AddonManager
    proxyserver: Proxyserver
    view: View
    #: Empty: mitmproxy's log lines are not masked.
    events = SimpleNamespace(data=())


def _listen(shown: _Shown) -> HTTPServer:
    pages = HTTPServer(_Pages(shown), max_body_size=_BODY_LIMIT)
    port: int = shown.options.web_port
    check_listen(_HOST, port, ("server.web_port", "server.web_port"))
    pages.listen(port, _HOST)
    return pages


class _Index(app.IndexHandler):
    """The page, with a notice."""

    def auth_fail(self, invalid_password: bool) -> None:
        self.write(_UNAUTHORIZED)

    def get(self) -> None:
        self.finish(self.render_string("../index.html").replace(b"</body>", _STYLE + _NOTICE + b"</body>"))


class _Content(app.FlowContent):
    """The bytes of a body."""

    def get(self, flow_id: str, message: str) -> None:
        if getattr(getattr(self.flow, message, None), "raw_content", None) is None:
            raise app.APIError(404, "This body is not text, or is compressed and long, so it is not shown.")
        super().get(flow_id, message)  # type: ignore[no-untyped-call]


# mitmweb's own handlers that show calls. No other handler is served.
_READ_ONLY = {
    app.IndexHandler: _Index,
    app.FilterHelp: app.FilterHelp,
    app.ClientConnection: app.ClientConnection,
    app.Events: app.Events,
    app.Flows: app.Flows,
    app.FlowContent: _Content,
    app.FlowContentView: app.FlowContentView,
    app.Options: app.Options,
    app.State: app.State,
}
# The application takes its handlers from this list of its module; nothing else in the process uses the list.
_HANDLERS = [(path, _READ_ONLY[handler]) for path, handler in app.handlers if handler in _READ_ONLY]


class _Pages(app.Application):
    """mitmweb's application with the read-only handlers, for GET and under loopback names only."""

    def __init__(self, shown: _Shown) -> None:
        app.handlers[:] = _HANDLERS
        super().__init__(shown, debug=False)  # type: ignore[arg-type]
        port = shown.options.web_port
        self._hosts = {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")}

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:
        if request.headers.get("Host", "").lower() not in self._hosts:
            # A web page whose name resolves to this machine (DNS rebinding).
            return self._reject(request, 403)
        if request.method != "GET":
            return self._reject(request, 405)
        return super().find_handler(request, **more)

    def _reject(self, request: HTTPServerRequest, status: int) -> HTTPMessageDelegate:
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": status})
