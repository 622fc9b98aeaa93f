"""An HTTP/1.1 proxy engine for mitmproxy's addons: fast, strict and fail-closed.

It calls mitmproxy's hooks with mitmproxy's flows, and knows nothing of tenants or plugins:

    from mitm_engine.engine import Engine, make_master

    engine = Engine(make_master(MyAddon()))
    engine.accept(a_connected_socket)

`mitm_engine.processes.supervisor` keeps several such workers on one port, and imports no mitmproxy.
"""
