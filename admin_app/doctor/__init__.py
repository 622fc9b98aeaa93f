"""Findings for operators about the settings, the store, the fleet, this machine and the providers."""
