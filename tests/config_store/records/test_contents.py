"""Things that only one of two states has."""

from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.records.contents import unshared

THINGS = [[name] for name in "abcdef"]
STATES = st.lists(st.sampled_from(range(6)), unique=True).map(lambda picked: [THINGS[at] for at in picked])


@given(STATES, STATES)
def test_objects_of_one_state_are_found_in_its_order(before: list[list[str]], after: list[list[str]]) -> None:
    gone, come = unshared(before, after)
    assert gone == [one for one in before if one not in after]
    assert come == [one for one in after if one not in before]


def test_equal_objects_that_are_not_the_same_are_found() -> None:
    old, new = ["a"], ["a"]
    gone, come = unshared([old], [new])
    assert gone[0] is old
    assert come[0] is new
