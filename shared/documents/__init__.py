"""The JSON documents of the admin API, as marshmallow schemas.

A schema named ``…Input`` loads a body, ``…Patch`` loads the fields of a PATCH; all others are responses.
"""
