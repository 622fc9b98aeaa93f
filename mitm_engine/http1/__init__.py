"""HTTP/1.1: readers and writers of requests and responses, and the rules of heads."""
