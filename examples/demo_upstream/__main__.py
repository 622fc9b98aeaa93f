"""Starts the demo upstream."""

from examples.demo_upstream.control import DemoControl
from examples.demo_upstream.server import DemoUpstream, port_parser, serve

parser = port_parser(
    "An upstream that repeats the last message of the user. It prints its port, and then its control's."
)
parser.add_argument("--key", action="append", default=[], help="an API key; calls need one of those given")
parser.add_argument("--control-port", type=int, help="port on 127.0.0.1 on which faults are set")
options = parser.parse_args()
if options.control_port is None:
    upstream = DemoUpstream(options.port, options.key)
    serve(upstream, upstream.server_port)
else:
    control = DemoControl(options.control_port, options.port, options.key)
    serve(control, control.upstream.port, control.server_port)
