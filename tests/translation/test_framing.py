"""Events from and to the bytes of a stream."""

import pytest

from shared.translation.framing import DONE, PING, Letters, read_event, write_event


def test_event_is_written_as_the_sdk_of_its_api_reads_it() -> None:
    event = {"type": "message_stop", "text": "é"}
    assert write_event(event, "openai.chat") == 'data: {"type":"message_stop","text":"é"}\n\n'.encode()
    named = b"event: message_stop\ndata: "
    assert write_event(event, "anthropic.messages").startswith(named)
    assert write_event(event, "openai.responses").startswith(named)


def test_end_and_ping_of_a_stream_of_chunks_are_no_documents() -> None:
    assert write_event(DONE, "openai.chat") == b"data: [DONE]\n\n"
    assert write_event(PING, "openai.chat") == b": ping\n\n"


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (None, PING),
        ("[DONE]", DONE),
        ('{"a": 1}', {"a": 1}),
        ("oops", "oops"),
        ('{"a": "\\ud83d"}', {"a": "\ud83d"}),
    ],
)
def test_data_of_an_event_is_read(data: str | None, event: object) -> None:
    assert read_event(data) == event


def test_number_of_any_length_passes() -> None:
    assert write_event({"n": 2**70}, "openai.chat") == b'data: {"n":1180591620717411303424}\n\n'


def test_half_of_a_letter_where_no_text_goes_on_passes_as_an_escape() -> None:
    assert write_event({"id": "\ud83d"}, "openai.chat") == b'data: {"id":"\\ud83d"}\n\n'


def test_letter_that_is_cut_between_two_pieces_is_joined() -> None:
    letters = Letters()
    pieces = ["a", "\ud83d", "\ude00b", "é"]
    assert [letters.join(0, piece) for piece in pieces] == ["a", "", "😀b", "é"]


def test_halves_of_letters_of_different_texts_are_not_joined() -> None:
    letters = Letters()
    assert [letters.join(0, "\ud83d"), letters.join(1, "\ude00"), letters.join(0, "x")] == [
        "",
        "\ufffd",
        "\ufffdx",
    ]
