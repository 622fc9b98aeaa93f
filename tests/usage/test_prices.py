"""The cost of a call."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.amounts import usd
from shared.providers.shipped.model_table import ModelTable, shipped_models
from shared.providers.shipped.presets import presets
from shared.usage.prices import MAX_COST, MAX_KEPT, PriceTable, Rates, parse_price
from shared.usage.reported import MAX_REPORTED
from shared.usage.row import Source, Usage

RATES = Rates.of(
    {
        "input": "2",
        "input_cached": "0.2",
        "cache_write_5m": "2.50",
        "cache_write_1h": "4",
        "output": "10",
        "per_search": "0.01",
        "above": [{"input_tokens": 200_000, "input": "4", "output": "15"}],
    }
)


def dollars(usage: Usage, rates: Rates = RATES) -> str:
    return usd(rates.cost(usage))


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input=100_000, output=100_000), "1.2"),
        (Usage(input=100_000, input_cached=100_000), "0.02"),
        (Usage(input=100_000, input_cached=40_000, cache_write_5m=10_000, cache_write_1h=10_000), "0.153"),
        (Usage(input=200_000), "0.4"),
        (Usage(input=200_001), "0.800004"),
        (Usage(input=1, output=1), "0.000012"),
        (Usage(searches=3), "0.03"),
        (Usage(), "0"),
    ],
)
def test_a_call_costs_the_sum_of_its_parts(usage: Usage, cost: str) -> None:
    assert dollars(usage) == cost
    # A row of the ledger keeps the prices that applied, so that anyone can check the sum.
    assert dollars(usage, Rates(RATES.for_call(usage))) == cost


def test_a_unit_without_a_price_costs_what_it_is_a_part_of() -> None:
    rates = Rates.of({"input": "1", "output": "2"})
    assert dollars(Usage(input=10, input_cached=10, output=10, audio_out=10), rates) == "0.00003"
    assert (
        dollars(Usage(input=10, cache_write_1h=10), Rates.of({"input": "1", "cache_write_5m": "3"}))
        == "0.00003"
    )


def test_sound_and_speech_are_paid_by_time_and_by_characters() -> None:
    heard = Rates.of({"per_hour": "0.111"})
    assert (dollars(Usage(seconds=3600), heard), dollars(Usage(seconds=1), heard)) == ("0.111", "0.000030834")
    assert heard.cover(Usage(seconds=1))
    assert not heard.cover(Usage(input=9, source=Source.ESTIMATED))
    spoken, by_tokens = Rates.of({"characters": "15"}), Rates.of({"input": "1", "output": "2"})
    assert dollars(Usage(characters=1_000), spoken) == "0.015"
    text = Usage(characters=1_000, input=250, source=Source.ESTIMATED)
    assert spoken.cover(text)
    assert not by_tokens.cover(text)
    assert by_tokens.cover(Usage(characters=1_000, input=250, output=900))


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [("whisper-1", Usage(seconds=60), "0.006"), ("tts-1", Usage(characters=100), "0.0015")],
)
def test_sound_of_openai_has_its_price(model: str, usage: Usage, cost: str) -> None:
    rates = PriceTable(shipped_models()).rates("openai", model, day="2026-12-01")
    assert rates is not None
    assert dollars(usage, rates) == cost


def test_sound_that_was_read_from_the_cache_is_paid_once() -> None:
    rates = Rates.of({"input": "1", "input_cached": "0.1", "audio_in": "3"})
    assert dollars(Usage(input=1000, audio_in=1000), rates) == "0.003"
    assert dollars(Usage(input=1000, audio_in=1000, input_cached=1000), rates) == "0.0001"
    assert dollars(Usage(input=1000, audio_in=500, input_cached=400), rates) == "0.00164"


def test_the_cheapest_price_is_exact_and_a_part_of_a_nano_is_rounded_up() -> None:
    assert Rates.of({"input": "0.01"}).cost(Usage(input=1)) == 10
    assert Rates.of({"input": "0.0025"}).cost(Usage(input=1)) == 3
    assert Rates.of({"input": "0"}).cost(Usage(input=10**9)) == 0


def test_no_call_costs_more_than_a_counter_can_hold() -> None:
    dear = Rates.of({"input": "1000000", "output": "1000000"})
    assert dear.cost(Usage(input=MAX_REPORTED, output=MAX_REPORTED)) == MAX_COST < 2**53


def test_an_own_price_also_holds_for_long_calls() -> None:
    own = RATES.with_own({"input": "1"})
    assert dollars(Usage(input=300_000), own) == "0.3"
    assert dollars(Usage(input=300_000, output=100_000), own) == "1.8"


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**7),
)
def test_the_cost_is_that_of_decimal_arithmetic(
    plain: int, cached: int, short: int, long: int, output: int
) -> None:
    usage = Usage(
        input=plain + cached + short + long,
        input_cached=cached,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output,
    )
    per_token = ("4", "15") if usage.input > 200_000 else ("2", "10")
    exact = (
        plain * Decimal(per_token[0])
        + cached * Decimal("0.2")
        + short * Decimal("2.5")
        + long * 4
        + output * Decimal(per_token[1])
    ) / 1_000_000
    assert Decimal(usd(RATES.cost(usage))) == exact


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1e400", "NaN", "Infinity", "0.1234567", "1000001", "\uff11", "1_0", " 1", "+1", "1e1"],
)
def test_a_wrong_price_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="A price"):
        parse_price(text)


@given(st.integers(0, 2**53))
def test_nano_usd_are_written_exactly(nano: int) -> None:
    text = usd(nano)
    assert Decimal(text) * 10**9 == nano
    assert re.fullmatch(r"\d+(\.\d*[1-9])?", text)


TABLE = ModelTable.parse(
    """{"source": "test", "date": "2026-12-01", "fallbacks": {"azure": ["openai"]}, "models": [
    {"provider": "openai", "is": ["m"], "starts": ["m-"], "context": 10,
     "prices": [{"from": "2026-11-01", "input": "1"}, {"input": "2"}],
     "tiers": {"priority": [{"from": "2026-11-15", "input": "3"}]}},
    {"provider": "openai", "regex": ["^n-\\\\d+$"], "prices": [{"from": "2026-11-01", "input": "1"}]}]}"""
)


@pytest.mark.parametrize(
    ("kind", "model", "day", "tier", "price"),
    [
        ("openai", "m", "2026-10-31", "", 2),
        ("openai", "m", "2026-11-01", "", 1),
        ("openai", "m-mini", "2026-11-01", "", 1),
        ("openai", "m", "2026-11-14", "priority", 1),
        ("openai", "m", "2026-11-15", "priority", 3),
        ("openai", "m", "2026-11-15", "unknown", 1),
        ("openai", "M", "2026-11-01", "", 1),
        ("openai", "M-Mini", "2026-11-01", "", 1),
        ("openai", "N-12", "2026-11-01", "", 1),
        ("openai", "n-12", "2026-11-01", "", 1),
        ("openai", "n-12", "2026-10-31", "", None),
        ("openai", "x", "2026-11-01", "", None),
        ("anthropic", "m", "2026-11-01", "", None),
        ("azure", "m", "2026-11-01", "", 1),
    ],
)
def test_a_price_is_that_of_the_day_and_the_tier(
    kind: str, model: str, day: str, tier: str, price: int | None
) -> None:
    rates = PriceTable(TABLE).rates(kind, model, day=day, tier=tier)
    assert (None if rates is None else rates.cost(Usage(input=10**6)) / 10**9) == price


def test_a_price_of_the_platform_replaces_the_shipped_one_and_adds_missing_ones() -> None:
    own = PriceTable(TABLE, {"openai/m": {"output": "7"}, "ollama/x": {"input": "5"}})
    both = own.rates("openai", "m", day="2026-12-01")
    assert both == own.rates("openai", "M", day="2026-12-01")
    assert both is not None
    assert dollars(Usage(input=10**6, output=10**6), both) == "8"
    added = own.rates("ollama", "x", day="2026-12-01")
    assert added is not None
    assert dollars(Usage(input=10**6), added) == "5"


def test_the_rates_of_a_model_are_computed_once() -> None:
    table = PriceTable(TABLE)
    assert table.rates("openai", "m", day="2026-12-01") is table.rates("openai", "m", day="2026-12-01")


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    table = PriceTable(TABLE)
    for number in range(MAX_KEPT + 10):
        table.rates("openai", f"x{number}", day="2026-12-01")
    assert len(table._kept) <= MAX_KEPT


def test_the_shipped_table_has_prices_for_known_kinds_only_and_each_can_be_read() -> None:
    table = shipped_models()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", table.date)
    rows = [*table._exact.values(), *(row for rows in table._patterns.values() for row in rows)]
    assert len(rows) > 1_000
    for row in rows:
        assert row["provider"] in presets()
        for dated in row["prices"]:
            assert Rates.of(dated).units
