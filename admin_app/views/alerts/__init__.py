"""Alerts: their webhooks."""
