"""The parts that only mitmproxy's own core needs."""
