"""mitmproxy's addons behind an HTTP/1.1 wire of our own: fast, strict and fail-closed.

It fires the hooks of mitmproxy with mitmproxy's flows on mitmproxy's addons, and knows nothing else:

    from mitm_engine.engine import Engine, make_master

    engine = Engine(make_master(MyAddon()))
    engine.accept(a_connected_socket)

`mitm_engine.processes.supervisor` keeps several such workers on one port. It imports no mitmproxy: nothing
here does but what a worker needs.
"""
