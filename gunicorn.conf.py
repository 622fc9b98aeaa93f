"""How gunicorn serves the admin API (`gunicorn wsgi:app`), from the settings."""

from gunicorn.http.wsgi import Response

from shared.settings import load_settings_or_exit

_settings = load_settings_or_exit()
_server = _settings.server
_all_headers = Response.default_headers

bind = [f"{f'[{host}]' if ':' in host else host}:{_server.admin_port}" for host in _server.admin_host]
worker_class, workers, threads = "gthread", 1, 8
loglevel = _settings.log.level
control_socket_disable = True
# gunicorn has no option to omit the Server header.
Response.default_headers = lambda self: [h for h in _all_headers(self) if not h.startswith("Server:")]
