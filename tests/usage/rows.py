"""Rows of the ledger for tests."""

from typing import Any

from hypothesis import strategies as st

from shared.usage.prices import Rates
from shared.usage.row import AbandonedCall, LedgerRow, Source, Usage

#: 2026-12-01, 12:00 UTC.
NOON = 1_796_126_400.0
RATES = Rates.of({"input": "2", "output": "10"})


def row(number: int = 1, **members: Any) -> LedgerRow:
    usage = members.pop("usage", Usage(input=10, output=5))
    return LedgerRow(
        **{
            "id": f"row-{number}",
            "time": NOON,
            "request_id": "req",
            "tenant": "acme",
            "key": "key_1",
            "rule": "rule_1",
            "provider": "openai",
            "model_asked": "fast",
            "model": "gpt-6-luna",
            "api": "openai.chat",
            "status": 200,
            "usage": usage,
            "rates": dict(RATES.units),
            "cost_nano": RATES.cost(usage),
            **members,
        }
    )


_AMOUNT = st.integers(0, 2**40)
_USAGES = st.builds(Usage, input=_AMOUNT, output=_AMOUNT, source=st.sampled_from(Source))
_CALLS = st.builds(
    AbandonedCall, provider=st.just("a"), model=st.just("b"), usage=_USAGES, cost_nano=st.none() | _AMOUNT
)
#: Any rows of one tenant.
ROWS = st.lists(
    st.builds(
        row,
        number=st.integers(1, 10**9),
        time=st.floats(NOON, NOON + 3 * 86_400),
        key=st.sampled_from(["key_1", "key_2"]),
        user=st.text(max_size=5),
        tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        model=st.sampled_from(["a", "b"]),
        usage=_USAGES,
        abandoned=st.lists(_CALLS, max_size=1).map(tuple),
        cost_nano=st.none() | st.integers(0, 2**40),
    ),
    max_size=20,
    unique_by=lambda one: one.id,
)
