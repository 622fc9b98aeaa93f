"""Alerts for webhooks: budgets that are reached; rules, keys and targets that fail. A stream in Redis."""
