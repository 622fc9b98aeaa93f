"""One member of a JSON object is changed, and nothing else."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.json.members import member_span, with_member

_VALUE: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NAME = st.sampled_from(["model", "mod", "", "a", 'x"y', "ü"])
_OBJECT = st.dictionaries(_NAME | st.text(max_size=4), _VALUE, max_size=5)


@given(_OBJECT, _NAME, _VALUE, st.sampled_from([None, 0, 2]), st.booleans())
def test_only_the_member_changes(
    document: dict[str, Any], name: str, value: Any, indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    changed = with_member(body, name, json.dumps(value).encode())
    assert json.loads(changed) == {**document, name: value}
    if name in document:
        span = member_span(body, name)
        assert span is not None
        assert json.loads(body[span.start : span.end]) == document[name]
        assert changed.startswith(body[: span.start])
        assert changed.endswith(body[span.end :])


def test_a_name_with_escapes_and_a_nested_one_are_told_apart() -> None:
    body = b'{"a":{"model":1},"m\\u006fdel" : "x" ,"b":"\\"model\\":2"}'
    assert with_member(body, "model", b'"y"') == b'{"a":{"model":1},"m\\u006fdel" : "y" ,"b":"\\"model\\":2"}'


def test_an_object_without_the_member_has_no_span() -> None:
    assert member_span(b'{"a": 1}', "model") is None
    assert member_span(b"[]", "model") is None
