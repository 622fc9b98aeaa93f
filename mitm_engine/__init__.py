"""mitmproxy's addons behind an HTTP/1.1 wire of our own: fast, strict and fail-closed.

It fires the hooks of mitmproxy with mitmproxy's flows on mitmproxy's addons, and knows nothing else:

    engine = Engine(make_master(MyAddon()))
    engine.accept(a_connected_socket)

`supervise` keeps several such workers on one port.
"""

from mitm_engine.engine import Engine, make_master
from mitm_engine.faults import Fault
from mitm_engine.head_rules import check_head
from mitm_engine.listener import CannotListen, Listener, listener_socket
from mitm_engine.options import Options, Policy, Terms, Timeouts
from mitm_engine.seat import Seat
from mitm_engine.supervisor import EX_CONFIG, supervise

__all__ = [
    "EX_CONFIG",
    "CannotListen",
    "Engine",
    "Fault",
    "Listener",
    "Options",
    "Policy",
    "Seat",
    "Terms",
    "Timeouts",
    "check_head",
    "listener_socket",
    "make_master",
    "supervise",
]
