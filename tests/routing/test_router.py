"""Paths are read in one way only, and lead to the longest rule."""

from dataclasses import dataclass
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.paths import normalize_path, rule_path
from shared.model.config import Rule
from shared.model.targets import parse_target
from shared.routing.router import Router, allowed_methods, match_method, path_warnings, upstream_path


@dataclass(frozen=True)
class Here:
    """A route that is nothing but its rule."""

    rule: Rule


def rule(path: str, *methods: str, **more: object) -> Rule:
    return Rule(f"{path} {methods}", path, "http://upstream", methods=methods, **more)  # type: ignore[arg-type]


def router(*rules: Rule) -> Router:
    return Router.build(Here(one) for one in rules)


def matched(table: Router, path: str) -> list[str]:
    return [route.rule.path for route in table.match_path(path)]


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/v1", "/v1"),
        ("/v1/", "/v1/"),
        ("//v1//x", "/v1/x"),
        ("/v1/./x", "/v1/x"),
        ("/v1/../admin", "/admin"),
        ("/v1/%2e%2e/admin", "/admin"),
        ("/v1/%2E./admin", "/admin"),
        ("/../../etc", "/etc"),
        ("/v1/..", "/"),
        ("/v1/x/..", "/v1/"),
        ("/v1/x/.", "/v1/x/"),
        # An empty segment is a segment (RFC 3986, 5.2.4); slashes are merged after that.
        ("/v1//../x", "/v1/x"),
        ("/api../admin", "/api../admin"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/%41%7e%2D", "/A~-"),
        ("/%c3%a4", "/%C3%A4"),
        ("/a%20b", "/a%20b"),
        ("/v1;x=1/y", "/v1;x=1/y"),
        ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
        ("/a%2fb", "/a%2Fb"),
    ],
)
def test_a_path_has_one_normal_form(path: str, normal: str) -> None:
    assert normalize_path(path) == normal


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "v1", "http://t2.example.com/", "/v1/..;/admin", "/v1/.;/admin", "/v1/..;x=1/admin"),
        *("/v1/%2e%2e;/admin", "/%zz", "/%", "/%2", "/%%32%65", "/%u002e", "/a\\b", "/%5c"),
        *("/%5C..%5Cadmin", "/%00", "/%0a", "/%0D%0AX-Evil:1", "/%1f", "/%7f", "/%3b", "/v1/..%3b/admin"),
        *("/%25", "/%252e%252e/admin", "/%3f", "/%3Fx=1", "/%23", "/#x", "/?x", "/a b", "/a\tb"),
        *("/a\x00b", "/a\nb", "/a\x7fb", "/ä"),
        # With encoded slashes allowed, an upstream that decodes them early would find dot segments.
        *("/v1/..%2fadmin", "/v1/x%2f..%2f..%2fadmin", "/v1/x%2F..", "/v1/x%2F%2e%2e/admin"),
        *("/v1/x%2F..;/admin", "/v1/.%2fadmin"),
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_rejected(path: str) -> None:
    with pytest.raises(ValueError, match=r"^The path must .*\.$|^Each '%' .*\.$"):
        normalize_path(path)


PIECES = st.sampled_from(
    ["/", "//", ".", "..", "a", "v1", "%2e", "%2E%2e", "%2f", "%2F", ";", "%41", "%C3%a4", "~", "...", "%7E"]
)
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces))


@given(PATHS | st.text(max_size=30).map(lambda text: "/" + text))
def test_the_normal_form_is_final_and_holds_nothing_that_an_upstream_could_read_otherwise(path: str) -> None:
    try:
        normal = normalize_path(path)
    except ValueError:
        return
    assert normalize_path(normal) == normal
    assert normal.startswith("/")
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))
    # However early the upstream decodes, and if it cuts parameters: no dot segment appears.
    seen = [segment.partition(";")[0] for segment in unquote(normal).split("/")]
    assert not {".", ".."} & set(seen)
    assert normal.isascii()
    assert normal.isprintable()
    assert not set("\\#? ") & set(normal)


@pytest.mark.parametrize(
    ("path", "match", "stored"),
    [
        ("/v1/", "prefix", "/v1"),
        ("/", "prefix", "/"),
        ("//", "prefix", "/"),
        ("/v1/", "exact", "/v1/"),
        ("/v1", "exact", "/v1"),
        ("/v1/%7Euser", "prefix", "/v1/~user"),
    ],
)
def test_a_rule_stores_the_form_that_requests_have(path: str, match: str, stored: str) -> None:
    assert rule_path(path, match) == stored


def test_a_prefix_matches_on_segment_boundaries_only() -> None:
    table = router(rule("/v1"))
    for path in ("/v1", "/v1/", "/v1/x", "/v1/x/y"):
        assert matched(table, path) == ["/v1"]
    for path in ("/v1evil", "/v", "/", "/x/v1", "/V1", "/v1%2Fx", "/v1;x"):
        assert matched(table, path) == []


def test_the_longest_path_counts_and_the_method_comes_second() -> None:
    table = router(rule("/"), rule("/v1"), rule("/v1/chat", "POST"))
    assert matched(table, "/v1/chat/completions") == ["/v1/chat"]
    assert matched(table, "/v1/models") == ["/v1"]
    assert matched(table, "/health") == ["/"]
    assert match_method(table.match_path("/v1/chat"), "GET") is None


def test_an_exact_rule_matches_its_path_alone_and_goes_before_a_prefix_of_the_same_path() -> None:
    table = router(rule("/v1"), rule("/v1", "GET", match="exact"), rule("/v1/x", match="exact"))
    assert [route.rule.match for route in table.match_path("/v1")] == ["exact", "prefix"]
    assert [route.rule.match for route in table.match_path("/v1/")] == ["prefix"]
    assert matched(table, "/v1/x") == ["/v1/x"]
    assert matched(table, "/v1/x/y") == ["/v1"]
    # A slash at the end makes another, longer path.
    assert matched(router(rule("/v1"), rule("/v1/", match="exact")), "/v1/") == ["/v1/"]


def test_rules_of_one_path_share_the_methods() -> None:
    routes = router(rule("/v1", "POST", "PUT"), rule("/v1", "GET"), rule("/v1", "PUT")).match_path("/v1")
    assert match_method(routes, "GET") == Here(rule("/v1", "GET"))
    assert match_method(routes, "PUT") == Here(rule("/v1", "POST", "PUT"))
    assert match_method(routes, "DELETE") is None
    assert match_method(routes, "get") is None
    assert allowed_methods(routes) == "GET, POST, PUT"


def test_a_rule_without_methods_takes_all() -> None:
    assert match_method(router(rule("/v1")).match_path("/v1"), "PATCH") == Here(rule("/v1"))


def test_an_inactive_rule_matches_nothing() -> None:
    assert matched(router(rule("/v1", active=False), rule("/")), "/v1") == ["/"]


SEGMENTS = st.lists(st.sampled_from(["a", "ab", "b", "a%2Fb"]), max_size=4)
RULES = st.lists(
    st.builds(
        lambda segments, exact, slash, methods: rule(
            rule_path("/" + "/".join(segments) + "/" * slash, "exact" if exact else "prefix"),
            *methods,
            match="exact" if exact else "prefix",
        ),
        SEGMENTS,
        st.booleans(),
        st.booleans(),
        st.lists(st.sampled_from(["GET", "POST"]), max_size=2, unique=True),
    ),
    max_size=8,
)


def takes(one: Rule, path: str) -> bool:
    """Whether the rule's path matches, said without a table."""
    if one.match == "exact":
        return path == one.path
    return one.path == "/" or (path + "/").startswith(one.path + "/")


@given(RULES, SEGMENTS, st.booleans())
def test_the_router_finds_what_a_search_finds(rules: list[Rule], segments: list[str], slash: bool) -> None:
    path = normalize_path("/" + "/".join(segments) + "/" * slash)
    fitting = [one for one in rules if takes(one, path)]
    longest = max((len(one.path) for one in fitting), default=0)
    best = [one for one in fitting if len(one.path) == longest]
    best.sort(key=lambda one: one.match != "exact")
    assert [route.rule for route in router(*rules).match_path(path)] == best


@pytest.mark.parametrize(
    ("target", "strip", "request_path", "seen"),
    [
        ("http://u", False, "/v1/chat", "/v1/chat"),
        ("http://u/", False, "/v1/chat", "/v1/chat"),
        ("http://u/base", False, "/v1/chat", "/base/v1/chat"),
        ("http://u/base/", False, "/v1/chat", "/base/v1/chat"),
        ("http://u/base//", False, "/v1/chat/", "/base/v1/chat/"),
        ("http://u", True, "/v1/chat", "/chat"),
        ("http://u/", True, "/v1/chat", "/chat"),
        ("http://u/base", True, "/v1/chat", "/base/chat"),
        ("http://u/base/", True, "/v1/chat", "/base/chat"),
        ("http://u", True, "/v1", "/"),
        ("http://u", True, "/v1/", "/"),
        ("http://u/base", True, "/v1", "/base"),
        ("http://u/base/", True, "/v1", "/base"),
        ("http://u/base", True, "/v1/", "/base/"),
    ],
)
def test_target_and_path_are_joined_with_one_slash(
    target: str, strip: bool, request_path: str, seen: str
) -> None:
    one = Rule("r", "/v1", target, strip_path=strip)
    assert upstream_path(one, parse_target(target), request_path) == seen


@pytest.mark.parametrize(("path", "seen"), [("/", "/base/"), ("/x", "/base/x")])
def test_stripping_the_root_strips_nothing(path: str, seen: str) -> None:
    one = Rule("r", "/", "http://u/base/", strip_path=True)
    assert upstream_path(one, parse_target(one.target), path) == seen


@given(PATHS, st.sampled_from(["", "/", "/base", "/base/"]), st.booleans(), SEGMENTS)
def test_the_upstream_gets_the_matched_form(path: str, base: str, strip: bool, segments: list[str]) -> None:
    try:
        path = normalize_path(path)
    except ValueError:
        return
    one = Rule("r", rule_path("/" + "/".join(segments), "prefix"), "http://u" + base, strip_path=strip)
    if not takes(one, path):
        return
    seen = upstream_path(one, parse_target(one.target), path)
    assert seen.startswith("/")
    assert "//" not in seen
    rest = path.removeprefix(one.path) if strip and one.path != "/" else path
    assert seen.rstrip("/") == (base.rstrip("/") + rest).rstrip("/")


def test_stripping_a_rules_whole_path_warns_with_what_the_upstream_will_see() -> None:
    stripping = Rule("r", "/v1/chat/completions", "https://api.example.com/x", strip_path=True)
    (warning,) = path_warnings(stripping)
    assert "the upstream receives /x" in warning.detail
    assert "strip_path to false" in warning.detail
    (warning,) = path_warnings(Rule("r", "/ask", "https://a.example", strip_path=True, match="exact"))
    assert "strip_path removes all of /ask" in warning.detail


@pytest.mark.parametrize("path", ["/v1", "/openai", "/openai/v1", "/v1/chat", "/deployments/gpt-4o"])
def test_stripping_a_base_path_gives_no_warning(path: str) -> None:
    assert path_warnings(Rule("r", path, "https://api.example.com", strip_path=True)) == []
    assert path_warnings(Rule("r", path, "https://api.example.com")) == []
    assert path_warnings(Rule("r", "/", "https://api.example.com", strip_path=True)) == []


@pytest.mark.parametrize(
    ("path", "base"),
    [
        *(("/v1/*", "/v1"), ("/*", "/"), ("/m/{id}", "/m"), ("/m/:id", "/m"), ("/m/<id>/x", "/m")),
        *(("/v1/.+", "/v1"), ("/v1/chat$", "/v1"), ("/v1/(chat|models)", "/v1"), ("/v[12]", "/")),
    ],
)
def test_path_that_looks_like_a_pattern_gives_a_warning_with_its_meaning(path: str, base: str) -> None:
    (warning,) = path_warnings(Rule("r", path, "https://api.example.com"))
    assert f"matches only if its path begins with {path}." in warning.detail
    assert f"set path to {base} and match to prefix" in warning.detail
    (exact,) = path_warnings(Rule("r", path, "https://api.example.com", match="exact"))
    assert f"is equal to {path}." in exact.detail


@pytest.mark.parametrize(
    "path", ["/v1beta/models/gemini-2.5:generateContent", "/odata/$metadata", "/Products(1)", "/a+b", "/~me"]
)
def test_path_of_plain_text_gives_no_warning(path: str) -> None:
    assert path_warnings(Rule("r", path, "https://api.example.com")) == []


@pytest.mark.parametrize("target", ["https://a.example/{path}", "https://a.example/v1/*"])
def test_target_that_looks_like_a_template_gives_a_warning(target: str) -> None:
    (warning,) = path_warnings(Rule("r", "/v1", target))
    assert warning.detail.startswith("The target is not a template")


def test_encoded_slashes_are_seen_in_the_normal_form() -> None:
    assert "%2F" in normalize_path("/a%2fb")
    assert "%2F" not in normalize_path("/a/b")
