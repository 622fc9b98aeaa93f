"""One API's requests, responses, streams and errors as those of another.

A folder per pair, named by the API of the client and that of the upstream. Pure: times and ids are given.
"""
