from tests.support.browser import admin, chromium, dashboard, proxy, tenant, upstream

__all__ = ["admin", "chromium", "dashboard", "proxy", "tenant", "upstream"]
