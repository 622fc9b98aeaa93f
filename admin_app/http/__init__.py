"""HTTP of the admin API: bodies, problem documents, pages, the OpenAPI description."""
