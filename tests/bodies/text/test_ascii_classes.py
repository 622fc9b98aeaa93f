"""Patterns that mean letters of all scripts, and RE2 takes them to mean ASCII."""

import re

import pytest

from shared.bodies.text.ascii_classes import FORMS, ascii_warning
from shared.bodies.text.patterns import compile_pattern

CASINO = "\u043a\u0430\u0437\u0438\u043d\u043e"
# A pattern that never matches the text that its author means, and what its author means.
WRONG = {
    rf"(?i)\b{CASINO}\b": f"das {CASINO}!",
    rf"{CASINO}\w{{2}}x": f"{CASINO}\u043c\u0438x",
    rf"{CASINO} \d{{3}}": f"{CASINO} \u0661\u0662\u0663",
    rf"{CASINO}\sx": f"{CASINO}\u00a0x",
    rf"{CASINO}[[:alpha:]]x": f"{CASINO}\u043cx",
    rf"{CASINO}[[:alnum:][:digit:]_]x": f"{CASINO}\u0661x",
    rf"{CASINO}[[:space:]]x": f"{CASINO}\u00a0x",
    rf"{CASINO}[[:word:]]x": f"{CASINO}\u043cx",
    rf"{CASINO}[[:lower:]][[:upper:]]": f"{CASINO}\u043c\u041c",
    r"(?i)\b\x{e9}tat\b": "l' \u00c9TAT",
    r"\p{Cyrillic}\b": f"{CASINO} ",
}


@pytest.mark.parametrize(("pattern", "text"), WRONG.items(), ids=range(len(WRONG)))
def test_a_pattern_of_other_letters_that_does_not_match_them_is_told_with_a_form_that_does(
    pattern: str, text: str
) -> None:
    assert compile_pattern(pattern).search(text) is None
    warning = ascii_warning(pattern)
    assert warning is not None
    assert pattern in warning
    forms = dict(re.findall(r"(\S+) for (\\.|\[:\w+:\])", warning))
    mended = pattern
    for name, form in ((name, form) for form, name in forms.items()):
        assert FORMS[name] == form
        mended = mended.replace(name, form)
    assert compile_pattern(mended).search(text) is not None
    assert ascii_warning(mended) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bsecret\b",
        r"(?i)\d{13,16}",
        r"[[:alpha:]]+\s\w",
        CASINO,
        rf"(?:^|[^\pL\pN_]){CASINO}",
        rf"\Q{CASINO}\b\E",
        rf"\x{{41}}\b{'a' * 200}",
        r"\x41\b",
        "",
    ],
)
def test_a_pattern_that_means_ascii_or_has_a_form_that_works_is_not_told(pattern: str) -> None:
    assert ascii_warning(pattern) is None


def test_a_long_pattern_is_not_shown_whole() -> None:
    warning = ascii_warning(rf"\b{CASINO * 90}")
    assert warning is not None
    assert len(warning) < 200
