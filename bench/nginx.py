"""Debian's nginx twice: as the upstream of everything, and as a proxy that sets the measure."""

import os
from pathlib import Path

#: What the upstream says: about what a chat model answers to a short question. Without quotes of nginx.
RESPONSE = (
    '{"id": "chatcmpl-bench", "object": "chat.completion", "created": 0, "model": "bench", "choices": '
    '[{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I help you today?"}, '
    '"finish_reason": "stop", "logprobs": null}], "usage": {"prompt_tokens": 2, "completion_tokens": 9, '
    '"total_tokens": 11}}'
)

_FRAME = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""

_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
"""

_PROXY = """
  upstream plain {{
    server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s;
  }}
  upstream events {{
    server 127.0.0.1:{events}; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_read_timeout 300s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://plain; }}
    location /events/ {{ proxy_pass http://events; proxy_buffering off; }}
  }}
"""


def upstream_command(folder: Path, port: int) -> list[str]:
    """Starts an nginx that answers everything with `RESPONSE`."""
    return _command(folder, _UPSTREAM.format(port=port, response=RESPONSE))


def proxy_command(folder: Path, port: int, *, upstream: int, events: int) -> list[str]:
    """Starts an nginx that forwards `/events/` to one port and all else to another, one worker."""
    return _command(folder, _PROXY.format(port=port, upstream=upstream, events=events))


def _command(folder: Path, http: str) -> list[str]:
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(_FRAME.format(folder=folder, user=user, files=40_000, http=http))
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(file)]
