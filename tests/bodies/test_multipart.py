"""Forms with files: their parts, and the text in them."""

import email.policy
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.multipart import FormPart, is_media, parse_parts
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.messages import Headers
from shared.pipeline.plugin import CONTINUE, Patch, Reject, Verdict
from shared.plugins.content_validator import ContentValidator
from tests.plugins.exchanges import exchange

TYPE = 'multipart/form-data; boundary="x-1"'
PNG = b"\x89PNG\r\n\x1a\n\0\0secret"
Part = tuple[str, bytes] | tuple[str, bytes, str]


def form(*parts: Part) -> bytes:
    """A form; each part has its name (and more parameters), its content, and perhaps its type."""
    written = b""
    for name, content, *kind in parts:
        typed = f"Content-Type: {kind[0]}\r\n" if kind else ""
        head = f"--x-1\r\nContent-Disposition: form-data; name={name}\r\n{typed}\r\n"
        written += head.encode() + content + b"\r\n"
    return written + b"--x-1--\r\n"


def parse(body: bytes, content_type: str = TYPE) -> list[FormPart]:
    return parse_parts(MediaType.of(Headers([("Content-Type", content_type)])), body, most=9)


def judge(body: bytes, content_type: str = TYPE, **settings: object) -> Verdict:
    plugin = ContentValidator.parse({"blocked_patterns": ["secret"], **settings})
    return plugin.pre_request(exchange(body, content_type=content_type))


def code(verdict: Verdict) -> str:
    return verdict.code if isinstance(verdict, Reject) else "passes"


def test_parts_have_their_names_types_and_contents() -> None:
    body = form(("a", b"one"), ('"f"; filename="p.png"', PNG, "image/png"), ("e", b""))
    parts = parse(body)
    assert [part.content for part in parts] == [b"one", PNG, b""]
    assert [part.names for part in parts] == [("a",), ("f", "p.png"), ("e",)]
    assert parts[1].media_type.name == "image/png"
    assert all(body[part.start :].startswith(part.content) for part in parts)


BOUNDARIES = st.text(alphabet="abcXYZ0189'()+_,-./:=?", min_size=1, max_size=30)


@given(BOUNDARIES, st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_a_form_has_the_parts_that_another_reader_finds(boundary: str, contents: list[bytes]) -> None:
    kind = f'multipart/form-data; boundary="{boundary}"'
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{number}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for number, content in enumerate(contents)
    )
    body += f"--{boundary}--\r\n".encode()
    try:
        parts = parse(body, kind)
    except BodyRejected:
        assert any(f"--{boundary}".encode() in b"\r\n" + content + b"\r\n--" for content in contents)
        return
    assert [part.content for part in parts] == contents
    read = BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    assert len(list(read.iter_parts())) == len(contents)


ONE = form(("a", b"hello"))
AMBIGUOUS = {
    "no boundary": (ONE, "multipart/form-data"),
    "two boundaries": (ONE, f"{TYPE}; boundary=y"),
    "a boundary in another form": (ONE, "multipart/form-data; boundary*=utf-8''x-1; boundary=x-1"),
    "something before": (b"hello\r\n" + ONE, TYPE),
    "something behind": (ONE + b"hello", TYPE),
    "no end": (ONE[:-6], TYPE),
    "the boundary in a part": (form(("a", b"x --x-1 y")), TYPE),
    "the boundary behind a bare line feed": (form(("a", PNG + b"\n--x-1\n\nsecret")), TYPE),
    "a space behind the boundary": (ONE.replace(b"--x-1\r\n", b"--x-1 \r\n"), TYPE),
    "no disposition": (ONE.replace(b"Content-Disposition", b"X-Other"), TYPE),
    "two dispositions": (form(("a\r\nContent-Disposition: form-data; name=b", b"x")), TYPE),
    "a folded line": (form(("a;\r\n filename=b", b"x")), TYPE),
    "no blank line": (b"--x-1\r\nContent-Disposition: form-data; name=a\r\n--x-1--", TYPE),
    "a head that is too long": (form((f'"{"a" * 9000}"', b"x")), TYPE),
}


@pytest.mark.parametrize(("body", "content_type"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_form_that_could_be_read_in_two_ways_is_rejected(body: bytes, content_type: str) -> None:
    with pytest.raises(BodyRejected) as caught:
        parse(body, content_type)
    assert caught.value.code == "bad_request"
    assert code(judge(body, content_type)) == "bad_request"


def test_a_form_has_a_bounded_number_of_parts() -> None:
    with pytest.raises(BodyRejected, match="more than 9 parts"):
        parse(form(*([("a", b"")] * 9)))


def named(parameter: str) -> bytes:
    """A form with a picture whose head has that parameter."""
    return form((f"f; {parameter}", PNG, "image/png"))


WIDE = "the secret".encode("utf-16-be")
FORMS: dict[str, tuple[bytes, str]] = {
    "no blocked text": (form(("a", b"hello"), ("f", PNG, "image/png")), "passes"),
    "a text": (form(("prompt", b"my secret")), "content_rejected"),
    "JSON with escapes": (form(("q", rb'{"a": "s\u0065cret"}')), "content_rejected"),
    "a body of an API in a part": (form(("q", b'{"messages": [{"role": "user", "content": "secret"}]}')), "content_rejected"),
    "a label in it": (form(("q", b'{"model": "secret", "messages": []}', "application/json")), "passes"),
    "lines of JSON": (form(('"file"; filename="b.jsonl"', b'{"a": "sec"}\n{"a": "ret"}\n')), "content_rejected"),
    "a batch": (form(("file", b'{"custom_id": "secret", "body": {"messages": []}}\n' * 2)), "passes"),
    "a text in a batch": (
        form(("file", b'{"custom_id": "1", "body": {"input": "x", "messages": [{"content": "secret"}]}}\n' * 2)),
        "content_rejected",
    ),
    "the name of a file": (form(('f; filename="secret.png"', PNG, "image/png")), "content_rejected"),
    "the name of a file in percent codes": (named("filename*=UTF-8''s%65cret.png"), "content_rejected"),
    "the same without a charset": (named("filename=s%65cret.png"), "content_rejected"),
    "the name of a file in Latin-1": (named("filename*=iso-8859-1'en's%65cret"), "content_rejected"),
    "the name of a file in another charset": (named("filename*=utf-7''s%65cret"), "unsupported_content_type"),
    "the name of a file in pieces": (named('filename*0="my sec"; filename*1="ret"'), "content_rejected"),
    "the same in percent codes": (named("filename*0*=utf-8''s%65; filename*1*=cr%65t"), "content_rejected"),
    "the name of a file with an escape": (named(r'filename="s\ecret"'), "content_rejected"),
    "the name of a file as in mail": (named('filename="=?utf-8?B?c2VjcmV0?="'), "content_rejected"),
    "the same in another charset": (named('filename="=?cp037?B?c2VjcmV0?="'), "unsupported_content_type"),
    "the same, broken": (named('filename="=?utf-8?B?c2Vjc?="'), "passes"),
    "the name in the type of a part": (form(("f", PNG, 'image/png; name="secret"')), "content_rejected"),
    "JSON that is not strict": (form(("q", b'{"a": 1, "a": 2}')), "invalid_json"),
    "token ids": (form(("q", b'{"prompt": [1, 2]}')), "unsupported_content_type"),
    "a part in base64": (
        form(("f\r\nContent-Transfer-Encoding: base64", b"c2VjcmV0")),
        "unsupported_content_type",
    ),
    "a part in another charset": (form(("f", b"x", "text/plain; charset=utf-16")), "unsupported_content_type"),
    "a part in a binary form": (form(("f", b"x", "application/cbor")), "unsupported_content_type"),
    "a text that begins like a picture": (form(("f", b"GIF89a secret", "image/gif")), "content_rejected"),
    "a text in UTF-16 without its mark": (form(("f", WIDE)), "unsupported_content_type"),
    "a text in UTF-16 with the type of sound": (form(("f", WIDE, "audio/wav")), "unsupported_content_type"),
    "a text with the type of a picture": (form(("f", b"secret", "image/png")), "content_rejected"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("action", ["block", "mask"])
def test_the_text_in_the_parts_of_a_form_is_judged(body: bytes, expected: str, action: str) -> None:
    verdict = judge(body, action=action)
    if action == "mask" and expected == "content_rejected" and PNG not in body:
        assert isinstance(verdict, Patch)
        assert b"secret" not in (verdict.body or b"").replace(PNG, b"")
    else:
        assert code(verdict) == expected


def test_a_masked_form_keeps_its_files_and_its_structure() -> None:
    body = form(("f", PNG, "image/png"), ("a", b"my secret"), ("q", b'{"a":"secret"}'))
    masked = judge(body, action="mask")
    assert masked == Patch(body=form(("f", PNG, "image/png"), ("a", b"my ******"), ("q", b'{"a":"******"}')))


def test_a_required_pattern_may_match_in_any_part() -> None:
    settings = {"blocked_patterns": [], "required_patterns": ["hello", "cret"]}
    lines = b'{"a": "se"}\n{"a": "cret"}\n'
    assert judge(form(("a", b"hello"), ("b", lines)), **settings) == CONTINUE
    assert code(judge(form(("a", b"hello"), ("f", PNG)), **settings)) == "content_rejected"


def test_media_are_known_by_how_they_begin_and_not_by_their_type() -> None:
    for begins in (
        PNG,
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        b"ID3",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"OggS",
    ):
        assert is_media(MediaType(""), begins + b"\0secret")
    assert is_media(MediaType("audio/pcm"), b"\0\0\1\0\xff\xff\2\0")
    for text in (b"secret", b"", b"\xffsecret", b"GIF89a secret", b"ID3 secret", b"the secret\0", WIDE):
        assert not is_media(MediaType("image/png"), text)
