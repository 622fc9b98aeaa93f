"""The keys of request records in Redis. Those of one tenant are on one node of a Cluster.

req:{<tenant>}                stream  its newest requests; expires. An entry has the `events` and `traces` of
                                      one or more records, each a line, see record.py. The ids of records
                                      end with their numbers. That of the last one is the entry's
req:{<tenant>}:last           hash    the number and the milliseconds of its last record; expires
req:{all} and req:{all}:last          the newest requests of all tenants, and of none: `events`; expires.
                                      Those of none have a trace, because it is nowhere else
req:tenants                   set     the tenants that have a stream
min:{<tenant>}:<minute>       hash    figures of a minute since the Unix epoch, see minutes.py; expires
min:{<tenant>}:total          hash    their sums; expires a day after the last request
min:{all}:<minute> and total  hash    the same of all requests
min:{<tenant>}:<minute>:calls hash    figures of the calls of providers of a minute, see minutes.py; expires
min:{all}:<minute>:calls      hash    the same of all tenants
min:{all}:<minute>:tenants    hash    requests, errors and cost of a minute, as `<figure>:<tenant>`; expires
"""

from typing import Final

#: In the place of a tenant's id: all of them.
ALL: Final = "all"
TENANTS_KEY: Final = "req:tenants"


def records_key(owner: str) -> str:
    return f"req:{{{owner}}}"


def last_key(owner: str) -> str:
    return f"{records_key(owner)}:last"


def minute_key(owner: str, minute: int) -> str:
    return f"min:{{{owner}}}:{minute}"


def total_key(owner: str) -> str:
    return f"min:{{{owner}}}:total"


def tenants_key(minute: int) -> str:
    return f"{minute_key(ALL, minute)}:tenants"


def calls_key(owner: str, minute: int) -> str:
    return f"{minute_key(owner, minute)}:calls"
