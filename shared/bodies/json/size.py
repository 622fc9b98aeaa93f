"""How much there is in JSON to be read, counted before it is read."""

# Characters that are counted at once; meanwhile no other thread runs.
_SLICE = 65_536
# A number, or true, false and null, costs a fifth of what a text costs.
_LIGHT = 5


def has_more_parts(text: str, most: int) -> bool:
    """Whether JSON has more than `most` parts: texts, names, arrays and objects, and a fifth of each number.

    What stands in texts does not count. Of something else than JSON it says nothing useful.
    """
    if len(text) <= most or _parts(text, text.count('"')) <= most:  # as it mostly is, whatever is in texts
        return False
    quotes, outside = 0, 0.0
    held = ""
    for start in range(0, len(text), _SLICE):
        piece = held + text[start : start + _SLICE]
        held = "\\" if (len(piece) - len(piece.rstrip("\\"))) % 2 else ""
        between = piece.removesuffix(held).replace("\\\\", "").replace('\\"', "").split('"')
        outside += _parts("".join(between[quotes % 2 :: 2]), 0)
        quotes += len(between) - 1
        if outside + quotes / 2 > most:
            return True
    return False


def _parts(text: str, quotes: int) -> float:
    return quotes / 2 + text.count("[") + text.count("{") + text.count(",") / _LIGHT
