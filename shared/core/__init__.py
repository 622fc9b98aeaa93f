"""Basics that all packages use: errors, clock, durations, sizes, globs, tasks, fields."""
