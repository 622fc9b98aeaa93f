"""Bodies of requests and responses: decoded, parsed strictly, searched for text and masked."""
