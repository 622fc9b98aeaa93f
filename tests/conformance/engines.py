"""The engines that every test of this folder runs against."""

ENGINES = ("express", "mitmproxy")
