"""mitmproxy's addons behind an HTTP/1.1 wire of our own: fast, strict and fail-closed.

It fires the hooks of mitmproxy with mitmproxy's flows on mitmproxy's addons, and knows nothing else:

    engine = Engine(make_master(MyAddon()))
    engine.accept(a_connected_socket)
"""

from mitm_engine.engine import Engine, make_master
from mitm_engine.faults import Fault
from mitm_engine.options import Options, Policy, Terms, Timeouts

__all__ = ["Engine", "Fault", "Options", "Policy", "Terms", "Timeouts", "make_master"]
