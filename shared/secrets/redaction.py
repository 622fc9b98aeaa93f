"""The one function that takes secrets out of a text before it is shown: logs, errors, debugging."""

import re

from shared.core.http_tokens import KEY_HEADERS, MASK

#: Headers whose values can be secrets.
SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie", *KEY_HEADERS))

# A key of the gateway keeps its public prefix (12 characters), so that it can be recognized.
_GATEWAY_KEY = re.compile(r"(gwk_[0-9A-Za-z]{8})[0-9A-Za-z]+")
_PROVIDER_KEY = re.compile(r"\b(sk-[A-Za-z]{0,6})[0-9A-Za-z_-]{8,}")
# The keys of Google, Groq, xAI and Bedrock.
_OTHER_PROVIDERS_KEY = re.compile(r"\b(AIza(?=[\w-]{24})|(?:gsk_|xai-|ABSK)(?=[0-9A-Za-z+/]{24}))[\w+/=-]+")
_URL_USER = re.compile(r"(://)[^/\s\"'@]+(?=@)")
# The text between a name and its value: `: `, `=`, and that of JSON, escaped JSON and Python's tuples.
_TO_VALUE = r"""(?: [\\"']* \s* [:=] | [\\"']+ \s* , ) \s*+ (?:b(?=["']))? [\\"']*"""
# The place of a secret in our own texts and documents: "Send it as 'Authorization: Bearer <key>'".
_PLACEHOLDER = r"""<(?:key|token)>(?=['"`])"""
# Any scheme, also Digest: the rest of the string, or of the line.
_AUTHORIZATION = re.compile(
    rf"""(?ix)
    ( \b(?:proxy-)?authorization {_TO_VALUE} ) (?! bearer \s {_PLACEHOLDER} )
    (?: (?<=["'])[^\r\n"'\\]+ | (?<!["'])[^\r\n]+ )
    """
)
_NAMED = re.compile(
    rf"""(?ix)
    ( (?: (?:api|gateway)[-_]?key | access[-_]?token | client[-_]?secret | passw(?:or)?d
      | (?<=[?&])(?:key|token) ) {_TO_VALUE} )
    ( (?<=["'])[^"'\\]+ | [^\s"',;&\\]+ )
    """
)
# Outside a header, where "a bearer token" and "basic usage" are ordinary words.
_SCHEME = re.compile(
    rf"""(?ix)
    ( \b bearer \s++ (?! (?:of|tokens?|keys?) \b | {_PLACEHOLDER} )
    | \b basic \s+ (?! (?-i:[A-Z]?[a-z]+) (?![^\s"',;&.\\]) ) )
    [^\s"',;&\\]+
    """
)


def redact(text: str) -> str:
    """`text` with masked API keys, bearer tokens and passwords, also in JSON, URLs and reprs of Python."""
    text = _GATEWAY_KEY.sub(r"\1…", text)
    text = _PROVIDER_KEY.sub(r"\1…", text)
    text = _OTHER_PROVIDERS_KEY.sub(r"\1…", text)
    for secret in (_AUTHORIZATION, _NAMED, _SCHEME, _URL_USER):
        text = secret.sub(rf"\1{MASK}", text)
    return text
