"""The dashboard: pages without data, whose scripts are clients of the API, and the sessions of browsers."""
