"""From a request to its tenant, rule and upstream."""
