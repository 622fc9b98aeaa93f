"""The example bodies in the OpenAPI document. Each is valid as it is."""

TENANT = {
    "name": "Acme",
    "subdomain": "acme",
    "tier": "pro",
    "enabled_plugins": ["rate_limiter"],
    "required_plugins": {
        "security_validator": {"priority": 1, "settings": {"required_headers": ["X-Request-ID"]}}
    },
}

RULE = {
    "path": "/v1/chat/completions",
    "target": "https://api.openai.com",
    "methods": ["POST"],
    "strip_path": False,
    "timeouts": {"connect": "5s", "first_byte": "60s"},
    "plugin_chain": [{"name": "rate_limiter", "priority": 1, "settings": {"limit": 100, "window": "1m"}}],
}

API_KEY = {"name": "production", "scopes": ["proxy"]}

ROTATE = {"overlap": "24h"}

EXPLAIN = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "headers": {"Content-Type": "application/json", "X-Request-ID": "req-123"},
    "body": '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}',
    "client": "203.0.113.7",
}
