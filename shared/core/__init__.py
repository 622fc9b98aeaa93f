"""Basics that all packages use: errors, clock, durations, sizes, globs, tasks, fields."""

from typing import Final

#: The version of the gateway, the same as in pyproject.toml.
VERSION: Final = "0.1.0"
#: The product in the `User-Agent` of the command line: the source of the changes that it makes.
COMMAND: Final = "gw"
