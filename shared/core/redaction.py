"""The one function that takes secrets out of a text before it is shown: logs, errors, debugging."""

import re

# A key of the gateway keeps its public prefix (12 characters), so that it can still be recognised.
_GATEWAY_KEY = re.compile(r"(gwk_[0-9A-Za-z]{0,8})[0-9A-Za-z]+")
_CREDENTIAL = re.compile(
    r"""(?ix)
    ( \b(?:proxy-)?authorization ["']? \s*[:=]\s* ["']? (?:bearer|basic)? \s*
    | \b(?:x-)?api[-_]key ["']? \s*[:=]\s* ["']?
    | \b(?:bearer|basic) \s+
    )
    ( [^\s"',;&]+ )
    """
)
_PROVIDER_KEY = re.compile(r"\b(sk-[A-Za-z]{0,6})[0-9A-Za-z_-]{8,}")


def redact(text: str) -> str:
    """`text` with API keys, bearer tokens and passwords of an Authorization header masked."""
    text = _GATEWAY_KEY.sub(r"\1…", text)
    text = _CREDENTIAL.sub(r"\1[redacted]", text)
    return _PROVIDER_KEY.sub(r"\1…", text)
