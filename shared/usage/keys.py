"""The keys of usage in Redis. Those of one tenant share a hash tag, so one node of a Cluster has them all.

led:{<tenant>}               stream  the ledger: one field, row, with a `LedgerRow` in JSON
led:{<tenant>}:batch:<id>    string  a batch that was settled; expires
led:{<tenant>}:archived      string  the id of the last row that was copied to a file
led:sizes                    hash    the bytes of each tenant's ledger
led:trimming                 string  a worker compares them; expires
use:{<tenant>}:<day>:<sum>   hash    a sum of that day by combination; see aggregates.py; expires
"""

from typing import Final

from shared.usage.aggregates import COUNTERS

SIZES_KEY: Final = "led:sizes"
TRIMMING_KEY: Final = "led:trimming"


def ledger_key(tenant_id: str) -> str:
    return f"led:{{{tenant_id}}}"


def batch_key(tenant_id: str, batch: str) -> str:
    return f"led:{{{tenant_id}}}:batch:{batch}"


def archived_key(tenant_id: str) -> str:
    return f"led:{{{tenant_id}}}:archived"


def sums_keys(tenant_id: str, day: str) -> list[str]:
    """The keys of all sums of a day, in the order of `COUNTERS`."""
    return [f"use:{{{tenant_id}}}:{day}:{name}" for name in COUNTERS]
