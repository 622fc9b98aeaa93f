"""The admin API for a WSGI server: ``gunicorn wsgi:app``."""

from admin_app import create_app
from shared.services import connect
from shared.settings import load_settings

app = create_app(connect(load_settings(), remembers=True))
