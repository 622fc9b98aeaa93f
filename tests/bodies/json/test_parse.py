"""JSON that can be read in one way only, and how much there is in it to be read."""

import json
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies import slices
from shared.bodies.json import parse as strict_json
from shared.bodies.json.parse import (
    MAX_DEPTH,
    JsonBounds,
    dump_json,
    has_more_parts,
    looks_like_json,
    parse_body,
    parse_json,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_valid_json_is_read_as_the_standard_library_reads_it(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["[18446744073709551616]", "[-0, 1e2, 1E-7, 1.0]", r'["\u0022", "\/", "a b"]', '{"ab": 1, "a b": 2}'],
)
def test_numbers_and_strings_are_read_exactly_however_they_are_written(text: str) -> None:
    assert repr(parse_json(text.encode())) == repr(json.loads(text))


@given(VALUES, st.booleans())
def test_long_json_is_read_as_short_json(value: Any, spaced: bool) -> None:
    body = json.dumps(value, indent=1 if spaced else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "SLICE", 8)
        patch.setattr(slices, "SLICE", 8)
        patch.setattr(strict_json, "_PROBE", 2)
        assert parse_json(body) == value


TOKENS = [
    b'"a"',
    b'"b"',
    rb'"\u0022"',
    rb'"\""',
    rb'"\\"',
    b"1",
    b"0.5",
    b"-0",
    b"18446744073709551616",
    b"1e999",
]
MEMBERS = st.sampled_from([b'"a":', b'"b":', rb'"\u0061":', rb'"\\":', b'"a" : '])


@given(
    st.recursive(
        st.sampled_from([*TOKENS, rb'"\ud800"', rb'"\ud83d\ude00"', b"null", b"NaN"]),
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda some: b"[%b]" % b", ".join(some))
            | st.lists(st.tuples(MEMBERS, inner).map(b"".join), max_size=4).map(
                lambda some: b"{%b}" % b",".join(some)
            )
        ),
        max_leaves=20,
    ),
    st.integers(1, 30),
    st.integers(1, 5),
)
def test_a_long_body_is_read_or_rejected_as_by_the_decoder(body: bytes, parts: int, depth: int) -> None:
    def result(**changes: int) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in changes.items():
                patch.setattr(strict_json, name, value)
            try:
                return repr(parse_json(body, JsonBounds(depth, parts)))
            except ValueError as error:
                return str(error)

    assert result(SLICE=0, _PROBE=2) == result(SLICE=0, _SHORT=0)


@given(VALUES)
def test_a_dumped_document_is_the_same_document(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@given(VALUES)
def test_a_long_document_is_written_as_a_short_one(value: Any) -> None:
    short = dump_json(value)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(strict_json, "_LONG", 0)
        assert dump_json(value) == short


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_json_or_rejected_with_a_sentence(body: bytes) -> None:
    try:
        document = parse_json(body)
    except ValueError as error:
        message = str(error)
    else:
        assert json.loads(body) == document
        return
    assert message.startswith("The body ")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b'{"a":1}x', b"{'a':1}", b'{"a":1,}', b"[1,]", b"//c\n1", b"\xef\xbb\xbf{}"),
        *('{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"), b'{"a":"\xff"}', b'"\xed\xa0\x80"'),
        *(b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'[{"b":{"a":1,"a":1}}]', b"NaN", b"[Infinity]"),
        *(b"-Infinity", b"1e999", b"[-1E400]", rb'"\ud800"', rb'"\udc00"', rb'{"\uD83D":1}'),
        *(rb'["\ud800\ud800"]', b"1" * 4301, b"-" + b"1" * 4301, b"01", b"+1", b"0x1", b'"\n"'),
    ],
)
def test_json_that_parsers_could_read_in_two_ways_is_rejected(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^The body .*\.$"):
        parse_json(body)


def test_pairs_of_surrogates_and_long_integers_within_bounds_are_read() -> None:
    assert parse_json(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"
    assert parse_json(rb'"\\ud800"') == r"\ud800"
    assert parse_json(b"1" * 4300) == int("1" * 4300)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_depth_is_bounded(opening: str, closing: str) -> None:
    levels = MAX_DEPTH // len(opening.replace('"a":', ""))
    assert parse_json((opening * levels + "1" + closing * levels).encode())
    for too_many in (levels + 1, 300, 30_000):  # orjson writes 254 levels, and reads 1,024
        with pytest.raises(ValueError, match="deeper than 64 levels"):
            parse_json((opening * too_many + "1" + closing * too_many).encode())


LENIENT = [b'{"a":1,"a":2}', '{"a":1}'.encode("utf-16"), b"\xef\xbb\xbf{}", b"NaN", b"[" * 200_000]
OTHER = [b"", b"hello", b"a=1&b=2", b"\x89PNG\r\n\x1a\n\0\0", b'a,"b",c\n' * 100_000]


@pytest.mark.parametrize(
    ("body", "expected"), [*((body, True) for body in LENIENT), *((body, False) for body in OTHER)]
)
def test_only_what_a_lenient_parser_takes_looks_like_json(body: bytes, expected: bool) -> None:
    assert looks_like_json(body) is expected


@pytest.mark.parametrize(
    "unit", ["[]", "{}", '"a"', '{"a":1}', "1,1,1,1,1,1", "null,null,null,null,null,null"]
)
def test_a_document_of_very_many_parts_is_rejected_before_it_is_read(unit: str) -> None:
    body = f"[{','.join([unit] * 100_000)}]".encode()
    with pytest.raises(ValueError, match="more than 100000 strings, names, arrays and objects"):
        parse_json(body)
    assert looks_like_json(body)
    assert looks_like_json(body.decode().encode("utf-16"))


def test_a_long_list_of_numbers_is_read() -> None:
    vectors = [[0.25] * 1536] * 256
    assert parse_json(json.dumps(vectors).encode()) == vectors


def test_the_bounds_of_parts_and_depth_are_the_choice_of_the_operator() -> None:
    assert parse_json(b'["a","b"]', JsonBounds(parts=4)) == ["a", "b"]
    with pytest.raises(ValueError, match="more than 3 strings"):
        parse_json(b'["a","b"]', JsonBounds(parts=3))
    assert parse_json(b'{"a":1}', JsonBounds(depth=1)) == {"a": 1}
    with pytest.raises(ValueError, match="deeper than 1 "):
        parse_json(b'{"a":[]}', JsonBounds(depth=1))


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"cheap","Model":"gpt-4o"}',
        '{"max_tokens":1,"stream":true,"Max_Tokens":99999}',
        '{"messages":1,"me\u017f\u017fages":2}',
        '{"k":1,"\u212a":2}',
    ],
)
def test_names_of_a_body_that_differ_in_case_alone_are_one_name_to_some_readers(body: str) -> None:
    with pytest.raises(ValueError, match="differ in case alone"):
        parse_body(body.encode())
    assert parse_body(f'{{"properties":{body}}}'.encode()) == {"properties": json.loads(body)}
    assert parse_body(b'[{"a":1,"A":2}]') == [{"a": 1, "A": 2}]


COMMA = 0.2


def parts_of(document: Any) -> float:
    """The same counted on the document, by who reads all of it."""
    if isinstance(document, str):
        return 1
    if not isinstance(document, dict | list):
        return 0
    inner = [*document, *document.values()] if isinstance(document, dict) else document
    return 1 + sum(map(parts_of, inner)) + COMMA * max(len(document) - 1, 0)


@given(VALUES, st.booleans())
def test_texts_names_arrays_and_objects_count_as_one_and_five_numbers_too(value: Any, spaced: bool) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    count = parts_of(value)
    assert not has_more_parts(text, ceil(count))
    assert has_more_parts(text, max(floor(count) - 1, 0)) or count < 1


@pytest.mark.parametrize("size", range(1, 40))
def test_the_content_of_cut_texts_does_not_count(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", size)
    inner = ['[{"a": 1, "b": [2]}],' * 3, "\\", "\\\\", '\\"', '"\\', "[", "\\\\\\["]
    text = json.dumps([inner, {"k[": "\\"}])
    assert not has_more_parts(text, ceil(parts_of([inner, {"k[": "\\"}])))
    assert has_more_parts(text, floor(parts_of([inner, {"k[": "\\"}])) - 1)


def test_prose_and_code_of_any_length_are_one_part() -> None:
    text = json.dumps({"messages": [{"content": 'Well, "yes", [he] said, {x}. ' * 50_000}]})
    assert not has_more_parts(text, 100)
