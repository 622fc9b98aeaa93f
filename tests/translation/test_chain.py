"""Two translations in a row, as between Anthropic's messages and OpenAI's responses."""

from typing import Any

from shared.translation.errors import ErrorResponse, chat_error, messages_error
from shared.translation.notes import Context, Notes, Settings
from shared.translation.translation import Translation, chain


class Marking:
    """Adds its mark to each event, and at the end."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def feed(self, event: Any) -> list[Any]:
        return [event + self.mark] * 2

    def end(self) -> list[Any]:
        return [f"end{self.mark}"]


def marking(mark: str, error: Any) -> Translation:
    def request(document: Any, caps: Any, settings: Settings) -> tuple[Any, Notes]:
        notes = Notes(settings.unsupported)
        notes.drop(mark)
        return {"path": document["path"] + mark}, notes

    def response(document: Any, context: Context) -> Any:
        return {"path": document["path"] + mark}

    return Translation(request, response, lambda context: Marking(mark), error)


BOTH = chain(marking("a", messages_error), marking("b", chat_error))
CONTEXT = Context(now=0, token="t")


def test_request_goes_through_the_first_and_then_the_second() -> None:
    document, notes = BOTH.request({"path": ""}, {}, Settings())
    assert (document, notes.dropped) == ({"path": "ab"}, ["a", "b"])


def test_response_comes_back_the_other_way() -> None:
    assert BOTH.response({"path": ""}, CONTEXT) == {"path": "ba"}
    assert BOTH.error(529, "Busy.") == ErrorResponse(
        529, {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}
    )


def test_each_event_goes_through_both_and_both_end() -> None:
    events = BOTH.events(CONTEXT)
    assert events.feed("x") == ["xba"] * 4
    assert events.end() == ["endba", "endba", "enda"]
