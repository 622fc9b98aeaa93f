"""Alerts as JSON: their webhooks."""
