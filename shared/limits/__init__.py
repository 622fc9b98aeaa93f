"""Rate limits: their settings, compiled form, counters, headers and fallback."""
