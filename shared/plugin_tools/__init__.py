"""Tools for plugin authors: the skeleton of a plugin, and its settings as JSON Schema and as a page.

`python -m shared.plugins` is the command that uses them.
"""
