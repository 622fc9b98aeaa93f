"""What only mitmproxy's own core needs."""
