"""Starts the demo upstream."""

from examples.demo_upstream.server import DemoUpstream, run

run(DemoUpstream, "An upstream that repeats the last message of the user.")
