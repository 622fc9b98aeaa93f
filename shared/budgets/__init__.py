"""Budgets: which period of the calendar a request falls in, and how much it may use; limits tried on records.

Pure: the time is a parameter, in seconds since the Unix epoch.
"""
