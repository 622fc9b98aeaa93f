from tests.admin_app.conftest import api, app, tenant, world

__all__ = ["api", "app", "tenant", "world"]
