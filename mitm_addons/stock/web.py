"""mitmweb for debugging: the gateway's own addons, and pages to look at the last calls."""

import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.log import LogEntry
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.tools.web import app
from mitmproxy.tools.web.webaddons import WebAddon, WebAuth
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import ErrorHandler

from mitm_addons import EngineTraits
from mitm_addons.admission import CheckHead
from mitm_addons.flows import state_of
from mitm_addons.stock import core_errors
from mitm_addons.stock import unsupported as unenforced
from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.masking import masked_copy
from mitm_addons.stock.master import client_cutter, client_writer, make_master
from mitm_addons.stock.serve import gateway_addons, run
from shared.core import tasks
from shared.core.errors import CannotListen
from shared.logs import PutLine
from shared.services import Services
from shared.settings import Settings

#: Calls that are listed; the oldest goes first.
CALLS_KEPT = 500
_HOST = "127.0.0.1"
_BODY_LIMIT = 1024  # bytes; nothing here takes a body
_STRANGER = "The token is missing or wrong. Open the address that run_proxy.py printed at its start.\n"
_NOTICE = (
    b'<div style="position:fixed;bottom:0;left:0;right:0;z-index:9999;pointer-events:none;'
    b'text-align:center;background:#ffd;color:#000;border-top:1px solid #aa0">'
    b"For looking only: editing, replay and commands are off. Secrets are masked.</div>"
)


async def serve_web(services: Services, put_line: PutLine, check_head: CheckHead) -> None:
    """Serve as `worker.serve` does, with mitmweb beside. Raises `CannotListen` for either port."""
    settings = services.settings
    server, feed = Proxyserver(), Feed()
    traits = EngineTraits(write=client_writer(server), cut=client_cutter(server), check_head=check_head)
    core_errors.install(services.random_bytes)
    async with gateway_addons(services, put_line, traits, [feed]) as addons:
        tasks.start(unenforced.tell(services), "tell what is not enforced")
        master = web_master(settings, settings.data_dir / "mitmproxy", server, Dispatcher(addons))
        pages = _listen(_Shown(master.options, master.addons, server, feed.view))
        sys.stderr.write(f"mitmweb, for looking only: {master.addons.get('webauth').web_url}\n")
        sys.stderr.flush()
        try:
            await run(master, settings)
        finally:
            pages.stop()


def web_master(settings: Settings, confdir: Path, server: Proxyserver, gateway: Dispatcher) -> Master:
    """The gateway's master, and the two addons that bring mitmweb's options and its token."""
    master = make_master(settings, confdir, server, gateway)
    master.addons.add(WebAddon(), WebAuth())
    master.options.update(web_host=_HOST, web_port=settings.server.web_port, web_open_browser=False)
    return master


class Feed:
    """Lists masked copies of the last calls. The flows themselves never get here."""

    def __init__(self) -> None:
        self.view = View()
        self._listed: deque[http.HTTPFlow] = deque()

    def post_response(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state and state.is_health_check:
            return
        copy = masked_copy(flow)
        self.view.add([copy])
        self._listed.append(copy)
        app.ClientConnection.broadcast_flow("flows/add", copy)
        if len(self._listed) > CALLS_KEPT:
            oldest = self._listed.popleft()
            self.view.remove([oldest])
            app.ClientConnection.broadcast(type="flows/remove", payload=oldest.id)


@dataclass
class _Events:
    """mitmproxy's log lines are not shown: they would have to be masked as well."""

    data: tuple[LogEntry, ...] = ()


@dataclass
class _Shown:
    """All that mitmweb's pages reach of a master. They get no commands and no loading of flows."""

    options: Options
    addons: AddonManager
    proxyserver: Proxyserver
    view: View
    events: _Events = field(default_factory=_Events)


def _listen(shown: _Shown) -> HTTPServer:
    pages = HTTPServer(_Pages(shown), max_body_size=_BODY_LIMIT)
    port: int = shown.options.web_port
    try:
        pages.listen(port, _HOST)
    except OSError:
        raise CannotListen(
            f"mitmweb cannot listen on {_HOST}:{port}; is the port taken? "
            "Set server.web_port (GATEWAY__SERVER__WEB_PORT) to a free one."
        ) from None
    return pages


class _Index(app.IndexHandler):
    """The page, with a notice of what it is for."""

    def auth_fail(self, invalid_password: bool) -> None:
        self.write(_STRANGER)

    def get(self) -> None:
        self.finish(self.render_string("../index.html").replace(b"</body>", _NOTICE + b"</body>"))


class _Content(app.FlowContent):
    """The bytes of a body."""

    def get(self, flow_id: str, message: str) -> None:
        if getattr(getattr(self.flow, message, None), "raw_content", None) is None:
            raise app.APIError(404, "This body was streamed or is no text; it is not kept.")
        super().get(flow_id, message)  # type: ignore[no-untyped-call]


# What the page asks for to show calls, by mitmweb's own handler. All else that mitmweb can do is not there.
_LOOKING = {
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
# The application takes its handlers from this list of its module, and nothing else in the process does.
_HANDLERS = [(path, _LOOKING[handler]) for path, handler in app.handlers if handler in _LOOKING]


class _Pages(app.Application):
    """mitmweb's application with the handlers that look, for GET alone and under loopback names alone."""

    def __init__(self, shown: _Shown) -> None:
        app.handlers[:] = _HANDLERS
        super().__init__(shown, debug=False)  # type: ignore[arg-type]
        port = shown.options.web_port
        self._hosts = {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")}

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:
        if request.headers.get("Host", "").lower() not in self._hosts:
            # A page of the web whose name was pointed to this machine (DNS rebinding).
            return self._reject(request, 403)
        if request.method != "GET":
            return self._reject(request, 405)
        return super().find_handler(request, **more)

    def _reject(self, request: HTTPServerRequest, status: int) -> HTTPMessageDelegate:
        return self.get_handler_delegate(request, ErrorHandler, {"status_code": status})
