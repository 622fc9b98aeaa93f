"""The values that are kept of a head that a client repeats."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from mitm_addons.flows import FlowState, KnownHead
from shared.http.forwarding import plugin_view
from shared.model.messages import Headers
from shared.routing.admission import Call

NAMES = st.sampled_from(["Authorization", "Connection", "Cookie", "X-Team", "Accept", "X-API-Key", "Via"])
VALUES = st.sampled_from(["1", "x-team", "keep-alive, accept", "Bearer x"])


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=4),
)
def test_view_of_a_repeated_head_is_the_view_of_that_head(
    before: list[tuple[str, str]], after: list[tuple[str, str]], repeats: list[tuple[int, bool]]
) -> None:
    """The ids of the requests vary. Plugins may have looked at the head before, or not."""
    head = Headers.of(Headers([*before, ("X-Request-ID", "first"), *after]).fields)
    call = Call("t", "/", "/", head, True, None, False)
    known = KnownHead(call, cast(Any, FlowState("first", 0.0, "192.0.2.1")))
    for number, looks in repeats:
        fields = list(known.headers.fields)
        if number:
            fields[len(before)] = (b"X-Request-ID", b"id-%d" % number)
        known.headers = known.headers.renewed(tuple(fields) if number else known.headers.fields)
        view, expected = known.view(known.headers), plugin_view(known.headers)
        assert view.fields == expected.fields
        if looks:
            assert view.by_name() == expected.by_name()
