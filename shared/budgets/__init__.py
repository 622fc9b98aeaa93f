"""Budgets: which period of the calendar a request falls in, and how much it may use.

Pure: the time is a parameter, in seconds since the Unix epoch.
"""
