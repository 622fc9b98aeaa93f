"""The API key of a request: the places where clients send it, and its removal from all others.

No well-formed key of the gateway travels upstream, wherever it stands: header, cookie or query.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from shared.core.http_tokens import KEY_HEADERS, Fields
from shared.core.memo import Memo
from shared.http.forwarding import is_credential
from shared.model.messages import Headers
from shared.secrets.api_keys import MARK, cut_keys, parse_key

# The gateway's own header comes first: beside it, the others may be meant for the upstream.
_ORDER = dict.fromkeys(("x-gateway-key", "authorization", *KEY_HEADERS, "?key="))
_OWN, _AUTHORIZATION, *_, _IN_QUERY = range(len(_ORDER))
_PLACE_OF = {name.encode(): place for place, name in enumerate(_ORDER)}
_PLACE: Memo[bytes, int | None] = Memo(lambda name: _PLACE_OF.get(name.lower()))
_MARK = MARK.encode()
# Parameters with which providers take a credential, or the account that pays, without marks between words.
_FOREIGN_PARAMETERS = frozenset(
    (
        *("key", "apikey", "xapikey", "xgoogapikey", "subscriptionkey", "ocpapimsubscriptionkey"),
        *("accesstoken", "oauthtoken", "authorization", "quotauser", "userproject", "xgooguserproject"),
    )
)
_BETWEEN_WORDS = re.compile("[-_. ]")
# The remaining value of a header whose value was a key.
_NOTHING = re.compile(r"(?i)[\s,;=\"']*(?:bearer)?[\s,;=\"']*")


class SentKey(NamedTuple):
    """The key of a request.

    `is_any` is True if there is any credential, `text` is the first well-formed key. `is_own` is True if that
    came in X-Gateway-Key.
    """

    is_any: bool
    text: str | None = None
    is_own: bool = False


def sent_key(headers: Headers, query: str) -> SentKey:
    """The first well-formed key: of X-Gateway-Key, of the headers that SDKs use, of the query."""
    found = [
        (place, value.decode("latin-1").strip())
        for name, value in headers.fields
        if (place := _PLACE[name]) is not None
    ]
    if "key=" in query:
        found += [(_IN_QUERY, unquote(part[4:])) for part in query.split("&") if part.startswith("key=")]
    if len(found) > 1:
        found.sort(key=lambda one: one[0])
    is_any = False
    for place, value in found:
        text = _of_authorization(value) if place == _AUTHORIZATION else value
        is_any = is_any or text != ""
        try:
            return SentKey(True, parse_key(text), place == _OWN)
        except ValueError:
            continue
    return SentKey(is_any)


def _of_authorization(value: str) -> str:
    """The credential of a Bearer scheme; of another scheme the whole value."""
    scheme, _, text = value.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else value


def without_stray_keys(headers: Headers) -> Headers:
    """The same head, without keys in headers that are no credentials. The same object if there are none."""
    fields = headers.fields
    if not [1 for name, value in fields if _MARK in value and _PLACE[name] is None]:
        return headers
    kept = [(name, value if _PLACE[name] is not None else _cut(name, value)) for name, value in fields]
    return Headers.of(
        tuple([field for field, sent in zip(kept, fields, strict=True) if field[1] or not sent[1]])
    )


def _cut(name: bytes, value: bytes) -> bytes:
    """The value without keys; empty if nothing else is left."""
    if _MARK not in value:
        return value
    text = value.decode("latin-1")
    if name.lower() == b"cookie":
        rest = ";".join([pair for pair in text.split(";") if not has_key(pair)])
    else:
        rest = cut_keys(text)
    return b"" if _NOTHING.fullmatch(rest) else rest.strip().encode("latin-1")


def query_without_keys(query: str) -> str:
    """The query without the parameters that contain a key; the others byte for byte."""
    if MARK not in query and "%" not in query:
        return query
    return "&".join([part for part in query.split("&") if not has_key(unquote(part))])


def query_without_credentials(query: bytes) -> bytes:
    """The query without parameters that are credentials or accounts for a provider; the others byte for byte.

    A provider could take them in place of the gateway's own. Some servers end a parameter at a semicolon.
    """
    return b"&".join(
        [part for part in query.split(b"&") if not any(map(is_foreign_parameter, part.split(b";")))]
    )


def is_foreign_parameter(part: bytes) -> bool:
    """Whether a parameter of a query, such as ``key=x``, is a credential or an account for a provider."""
    name = unquote_plus(part.partition(b"=")[0].decode("latin-1")).strip()
    # Google's system parameters can replace headers and the body: https://cloud.google.com/apis/docs/system-parameters
    folded = _BETWEEN_WORDS.sub("", name.partition("[")[0].lower())
    return name.startswith("$") or folded.startswith("xamz") or folded in _FOREIGN_PARAMETERS


def has_key(text: str) -> bool:
    """Whether a well-formed key is in the text."""
    return MARK in text and cut_keys(text) != text


def own_credentials(sent: Headers) -> Fields:
    """The client's own credentials, for rules that forward them: all but the keys of the gateway."""
    return tuple(
        [
            (name, value)
            for name, value in sent.fields
            if is_credential(name) and not (_MARK in value and has_key(value.decode("latin-1")))
        ]
    )


def moved_credentials(head: Headers, name: bytes, *, is_bearer: bool) -> Headers:
    """The head with the client's credential in the header of that name, in place of where it came.

    If it has several, the first one is kept.

    >>> moved_credentials(Headers([("Authorization", "Bearer x")]), b"x-api-key", is_bearer=False).fields
    ((b'x-api-key', b'x'),)
    """
    sent = [(one, value) for one, value in head.fields if is_credential(one)]
    if not sent:
        return head
    text = next((value for one, value in sent if one.lower() == name.lower()), sent[0][1]).decode("latin-1")
    text = _of_authorization(text)
    value = (f"Bearer {text}" if is_bearer else text).encode("latin-1")
    return Headers.of((*[field for field in head.fields if not is_credential(field[0])], (name, value)))
