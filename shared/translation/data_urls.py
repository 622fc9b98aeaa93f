"""Pictures and files that stand in a request: `data:` URLs in OpenAI's APIs, sources in Anthropic's."""

import base64
import binascii
import re
from typing import Final, NamedTuple

PDF: Final = "application/pdf"
#: The types of pictures that Anthropic takes.
PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w-]+=[^;,]*)*;base64,", re.IGNORECASE)
# A name that some clients send, which is none.
_ALIASES: Final = {"image/jpg": "image/jpeg"}


class Media(NamedTuple):
    """A file: its type in lower case, and its bytes in base64."""

    media_type: str
    data: str

    @property
    def text(self) -> str | None:
        """The text of a file with text; None for any other, and for one that is not UTF-8."""
        if not self.media_type.startswith("text/"):
            return None
        try:
            return base64.b64decode(self.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None


def match_data_url(url: str) -> Media | None:
    """The file in a `data:` URL; None for another URL, and for data that is not base64.

    >>> match_data_url("data:image/png;base64,iVBO")
    Media(media_type='image/png', data='iVBO')
    """
    found = _URL.match(url)
    if found is None:
        return None
    media_type = found[1].lower()
    return Media(_ALIASES.get(media_type, media_type), url[found.end() :])


def data_url(media_type: str, data: str) -> str:
    """A file as a URL."""
    return f"data:{media_type};base64,{data}"
