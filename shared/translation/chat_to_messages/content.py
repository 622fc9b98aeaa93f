"""The parts of a message of OpenAI's chat as blocks of Anthropic's messages."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.translation.data_urls import PDF, PICTURES, Media, match_data_url
from shared.translation.members import Member, mapped, must_be, objects, rejected
from shared.translation.notes import Document, Notes

#: The parts of a message, and what they become.
PARTS: Final[Mapping[str, Member]] = {
    "text": mapped("text, unless it is blank"),
    "refusal": mapped("text"),
    "image_url": mapped("image, or document for a PDF; an https URL is fetched by the provider"),
    "file": mapped("document, with the text or the PDF in file_data"),
    "input_audio": rejected("The model hears nothing. Send the words as text."),
}
_TTLS: Final = ("5m", "1h")
_PICTURES_WAY_OUT: Final = "Use an https URL, or a data URL with base64 of image/jpeg, png, gif or webp."
_FILES_WAY_OUT: Final = "Use file_data with a data URL with base64 of application/pdf or a text."


def blocks_of(content: Any, pointer: str, notes: Notes) -> Iterator[Document]:
    """The blocks of the content of a message: its text, or its parts. The API rejects a blank text."""
    if content is None:
        return
    if isinstance(content, str):
        yield from text_block(content)
        return
    for where, part in objects(content, pointer):
        made = list(_blocks_of_part(part, where, notes))
        if made and (control := cache_control(part, notes)) is not None:
            made[-1]["cache_control"] = control
        yield from made


def text_block(text: str) -> Iterator[Document]:
    """A text as a block; none if it is blank."""
    if text.strip():
        yield {"type": "text", "text": text}


def _blocks_of_part(part: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    match part.get("type"):
        case "text" | "refusal" as kind:
            yield from text_block(must_be(str, part.get(kind), f"{pointer}/{kind}"))
        case "image_url":
            image = must_be(dict, part.get("image_url"), f"{pointer}/image_url")
            yield from _picture(image, f"{pointer}/image_url", notes)
        case "file":
            file = must_be(dict, part.get("file"), f"{pointer}/file")
            yield from _file(file, f"{pointer}/file", notes)
        case "input_audio":
            notes.reject("input_audio", pointer, PARTS["input_audio"].to)
        case _:
            notes.reject("content", f"{pointer}/type", "Use text, image_url or file.")


def _picture(image: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    url = must_be(str, image.get("url"), f"{pointer}/url")
    if image.get("detail") not in (None, "auto"):
        notes.drop("image_url.detail", f"{pointer}/detail")
    media = match_data_url(url)
    if media is not None and media.media_type in PICTURES:
        yield {"type": "image", "source": {"type": "base64", **media._asdict()}}
    elif media is not None and media.media_type == PDF:
        yield {"type": "document", "source": {"type": "base64", **media._asdict()}}
    elif url.lower().startswith(("http://", "https://")):
        # The provider fetches it, and never the gateway.
        yield {"type": "image", "source": {"type": "url", "url": url}}
    else:
        notes.reject("image_url", f"{pointer}/url", _PICTURES_WAY_OUT)


def _file(file: Document, pointer: str, notes: Notes) -> Iterator[Document]:
    data = file.get("file_data")
    media = match_data_url(data) if isinstance(data, str) else None
    source = _source(media) if media is not None else None
    if source is None:
        where = "file_id" if "file_id" in file else "file_data"
        notes.reject("file", f"{pointer}/{where}", _FILES_WAY_OUT)
        return
    title = file.get("filename")
    yield {"type": "document", "source": source, **({"title": title} if isinstance(title, str) else {})}


def _source(media: Media) -> Document | None:
    if media.media_type == PDF:
        return {"type": "base64", **media._asdict()}
    text = media.text
    return None if text is None else {"type": "text", "media_type": "text/plain", "data": text}


def cache_control(part: Document, notes: Notes) -> Document | None:
    """The mark of a part up to which the provider keeps a cache: OpenAI's, or Anthropic's in another API."""
    mark = part.get("cache_control") or part.get("prompt_cache_breakpoint")
    if not isinstance(mark, dict):
        return None
    ttl = mark.get("ttl")
    if ttl is None:
        return {"type": "ephemeral"}
    if ttl not in _TTLS:
        notes.change("prompt_cache_breakpoint")
    return {"type": "ephemeral", "ttl": ttl if ttl in _TTLS else "1h"}
