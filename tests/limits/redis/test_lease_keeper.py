"""The slots that this process holds."""

import pytest

from shared.core.errors import StoreDown
from shared.redis_client.protocol import ErrorReply
from tests.limits.limits_by_name import a_lease_keeper, at_a_time, window
from tests.limits.redis.limiter_world import Hands, budget


def test_held_slots_are_counted_by_limit_without_ones_own() -> None:
    held = a_lease_keeper()
    held.acquire([at_a_time("one"), at_a_time("two"), at_a_time("one", key="t"), window()])
    assert (held.count("s", "one"), held.count("s", "three"), held.count("t", ""), held.count("a", "")) == (
        1,
        2,
        1,
        0,
    )


async def test_a_released_slot_is_gone_and_nothing_is_left_of_it() -> None:
    held = a_lease_keeper()
    held.acquire([at_a_time("one"), at_a_time("two")])
    await held.release([at_a_time("one"), at_a_time("one"), window()])
    assert held.count("s", "") == 1
    await held.release([at_a_time("two")])
    await held.release([at_a_time("two")])
    assert not held._held


async def test_lease_that_redis_rejects_is_due_again_at_the_usual_time() -> None:
    held = a_lease_keeper()
    held.acquire([at_a_time("one"), at_a_time("one", key="t")], known=False)
    renew = held._remote.renew
    renew.side_effect = [ErrorReply("WRONGTYPE"), StoreDown("Redis did not respond in time.")]  # type: ignore[attr-defined]
    with pytest.raises(StoreDown, match="in time"):
        await held.renew_due()
    assert (held._due["s"], held._due["t"]) == (10.0, 0.0)


async def test_abandoned_lease_is_released_unless_it_has_ended() -> None:
    held = a_lease_keeper()
    clock = held._clock = Hands()
    held.abandon([at_a_time("one"), window()])
    clock.forward(29_000)
    held.abandon([at_a_time("two")])
    clock.forward(2_000)
    await held.flush()
    held._remote.release.assert_awaited_once_with([at_a_time("two")])  # type: ignore[attr-defined]


async def test_leases_of_budgets_are_renewed_until_their_request_is_over() -> None:
    held = a_lease_keeper()
    clock = held._clock = Hands()
    held.acquire([budget(lease="goes on"), budget(lease="over")])
    held.end([budget(lease="over")])
    await held.renew_due()
    clock.forward(21_000)
    await held.renew_due()
    held._remote.renew.assert_awaited_once_with([budget(lease="goes on")])  # type: ignore[attr-defined]


async def test_abandoned_budget_is_canceled_until_redis_says_so() -> None:
    held = a_lease_keeper()
    clock = held._clock = Hands()
    held.abandon([budget(lease="a"), budget(lease="admitted")])
    held.acquire([budget(lease="admitted")])
    clock.forward(3_600_000)
    held.abandon([at_a_time("slot")])
    cancel = held._remote.cancel
    cancel.side_effect = [StoreDown("Redis did not respond in time."), None]  # type: ignore[attr-defined]
    with pytest.raises(StoreDown):
        await held.flush()
    await held.flush(lambda key: key == "another")
    await held.flush()
    await held.flush()
    assert [call.args for call in cancel.await_args_list] == [((budget(lease="a"),),)] * 2  # type: ignore[attr-defined]


async def test_slots_that_redis_does_not_free_are_abandoned_and_budgets_are_kept() -> None:
    held = a_lease_keeper()
    held._remote.release.side_effect = StoreDown("down")  # type: ignore[attr-defined]
    limits = [at_a_time("one"), budget(lease="one")]
    held.acquire(limits)
    with pytest.raises(StoreDown):
        await held.release(limits)
    assert (len(held._unreleased), len(held._uncanceled)) == (1, 0)
