"""The programs of the other proxies, each with one worker and kept connections."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import redis

from bench.gateway import MAX_REQUESTS, make_call
from bench.programs import Program

_HERE = Path(__file__).parent
_MODULES = Path("/usr/lib/nginx/modules")
#: Debian's nginx has these as modules to load, and its packages put them here.
_LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")

_NGINX = """
{modules}
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile 40000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  client_body_buffer_size 16k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream plain {{
    server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  {more}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /ready {{ return 200; }}
    location / {{ {location} }}
  }}
}}
"""
#: The additions of the rival with Lua: its code, and a log line per request, as a gateway writes it.
_LUA = """
  lua_shared_dict keys 1m;
  lua_package_path "{here}/?.lua;;";
  init_by_lua_block {{
    local file = assert(io.open("{here}/window.lua"))
    require("chain").prepare("{socket}", {limit}, file:read("*a"))
    file:close()
  }}
  log_format lines escape=json '{{"time":"$time_iso8601","id":"$http_x_request_id","host":"$host",'
    '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":$upstream_response_time}}';
  access_log {folder}/access.log lines buffer=64k flush=1s;
"""
_LUA_LOCATION = """
  access_by_lua_block { require("chain").access() }
  client_body_buffer_size 16m;
  proxy_pass http://plain;
"""
_HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  http-reuse always
  option http-no-delay
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend all
  bind 127.0.0.1:{port} backlog 4096
  default_backend plain
backend plain
  server one 127.0.0.1:{upstream}
"""


def nginx(folder: Path, name: str, port: int, upstream: int, location: str) -> Program:
    """nginx with one location, and the server at `upstream` as http://plain."""
    return _nginx(folder, name, port=port, upstream=upstream, location=location)


def nginx_with_lua(folder: Path, name: str, *, port: int, upstream: int, socket: str) -> Program:
    """nginx with Lua, which does the work of the chain with the Redis at `socket`. It knows one key."""
    call = make_call()
    with redis.Redis(unix_socket_path=socket) as client:
        client.set(f"rival:key:{call.headers['Authorization'].removeprefix('Bearer ')}", call.headers["Host"])
    settings = {"here": _HERE, "socket": socket, "limit": MAX_REQUESTS, "folder": folder / name}
    program = _nginx(
        folder,
        name,
        port=port,
        upstream=upstream,
        location=_LUA_LOCATION,
        more=_LUA.format(**settings),
        modules=[_MODULES / module for module in _LUA_MODULES],
    )
    return replace(program, ready=f"http://127.0.0.1:{port}/ready")


def _nginx(
    folder: Path,
    name: str,
    *,
    port: int,
    upstream: int,
    location: str,
    more: str = "",
    modules: list[Path] | None = None,
) -> Program:
    own = folder / name
    own.mkdir()
    file, user = own / "nginx.conf", "user root;" if os.geteuid() == 0 else ""
    text = _NGINX.format(
        modules="\n".join(f"load_module {module};" for module in modules or []),
        folder=own,
        user=user,
        upstream=upstream,
        port=port,
        more=more,
        location=location,
    )
    file.write_text(text)
    command = ["nginx", "-p", str(own), "-e", "stderr", "-c", str(file)]
    return Program(name, command, f"http://127.0.0.1:{port}/")


def haproxy(folder: Path, name: str, port: int, upstream: int) -> Program:
    """HAProxy with one thread."""
    file = folder / f"{name}.cfg"
    file.write_text(_HAPROXY.format(port=port, upstream=upstream))
    return Program(name, ["haproxy", "-db", "-f", str(file)], f"http://127.0.0.1:{port}/")


def mitmdump(folder: Path, port: int, upstream: int) -> Program:
    """Stock mitmdump as reverse proxy, without addons."""
    command = [
        *(str(Path(sys.executable).with_name("mitmdump")), "-q"),
        *("--mode", f"reverse:http://127.0.0.1:{upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", str(port)),
        *("--set", f"confdir={folder / 'mitmdump'}"),
    ]
    return Program("mitmdump", command, f"http://127.0.0.1:{port}/")
