"""Which requests a limit counts."""

from hypothesis import given
from hypothesis import strategies as st

from shared.limits.values import EVERY, LimitMatch
from shared.model.messages import Headers, Request

methods = st.lists(st.sampled_from(["GET", "POST", "PUT"]), max_size=3).map(tuple)
paths = st.lists(st.sampled_from(["/v1", "/v1/chat", "/v2/*", "/"]), max_size=3).map(tuple)
requests = st.builds(
    Request,
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["/", "/v1", "/v1/", "/v1/chat", "/v1x", "/v2/x", "/v3"]),
    st.just(Headers()),
)


def test_it_takes_its_methods_below_its_paths() -> None:
    match = LimitMatch(("POST",), ("/v1/chat", "/v2/*"))
    assert match.takes(Request("POST", "/v1/chat/completions", Headers()))
    assert match.takes(Request("POST", "/v2/anything", Headers()))
    assert not match.takes(Request("GET", "/v1/chat", Headers()))
    assert not match.takes(Request("POST", "/v1/models", Headers()))


@given(requests)
def test_without_methods_and_paths_it_takes_all(request: Request) -> None:
    assert EVERY.takes(request)


@given(methods, paths, requests)
def test_it_takes_a_method_and_a_path(
    methods: tuple[str, ...], paths: tuple[str, ...], request: Request
) -> None:
    by_parts = any(
        LimitMatch((method,) if method else (), (path,) if path else ()).takes(request)
        for method in methods or ("",)
        for path in paths or ("",)
    )
    assert LimitMatch(methods, paths).takes(request) is by_parts


@given(methods, paths)
def test_a_match_in_another_order_has_the_same_text(methods: tuple[str, ...], paths: tuple[str, ...]) -> None:
    again = LimitMatch(methods[::-1] + methods[:1], paths[::-1] + paths[:1])
    assert LimitMatch(methods, paths).text == again.text


def test_others_have_another_text_and_all_requests_have_none() -> None:
    assert EVERY.text == ""
    texts = {
        LimitMatch(*given).text
        for given in [(("GET",), ()), ((), ("/GET",)), (("GET",), ("/",)), ((), ("/",))]
    }
    assert len(texts) == 4
