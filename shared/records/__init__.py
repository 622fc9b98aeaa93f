"""Request records: the newest requests of each tenant, and figures by minute, in Redis. None of it is needed
to serve: it is written after the last byte, and dropped when Redis has no room or no time."""
