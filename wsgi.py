"""The admin API for a WSGI server: ``gunicorn wsgi:app``."""

from admin_app import create_app
from admin_app.start import open_services

app = create_app(open_services())
