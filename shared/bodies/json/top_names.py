"""The names of the members at the top of a document: every reader must take each for the same member."""

from collections.abc import Iterable
from typing import Any, Final

from shared.core.memo import BoundedDict

# So many documents with the same names are judged once, if these have at most so many characters.
_KNOWN, _KNOWN_LENGTH = 64, 512


class TopNames:
    """Judges the names at the top of documents, of which some have to be written as they are here.

    Some parsers ignore the case of names: Go's encoding/json takes the last of "model" and "Model". So two
    names that differ in case alone are an error, and so is another case of one of `names`. Deeper in the
    document, a schema may have both.

    >>> TopNames(["model"]).check({"model": "a", "Other": 1})
    """

    __slots__ = ("_good", "_written")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._written: dict[str, frozenset[str]] = {}
        for name in names:
            folded = name.casefold()
            self._written[folded] = self._written.get(folded, frozenset()) | {name}
        self._good: BoundedDict[tuple[str, ...], bool] = BoundedDict(_KNOWN)

    def check(self, document: Any) -> None:
        """Raise ValueError, with a full sentence, on such a name. Only objects have names."""
        if document.__class__ is not dict:
            return
        names = tuple(document)
        if names in self._good:
            return
        self._check(names)
        if sum(map(len, names)) <= _KNOWN_LENGTH:
            self._good.keep(names, True)

    def _check(self, names: tuple[str, ...]) -> None:
        folded = [name.casefold() for name in names]
        if len({*folded}) < len(names):
            raise ValueError("The body has two keys at its top level that differ in case alone.")
        for name, form in zip(names, folded, strict=True):
            known = self._written.get(form)
            if known is not None and name not in known:
                meant = ", ".join(sorted(known))
                raise ValueError(f"The body has the key {name!r} at its top level. Write it as: {meant}.")


#: Of names that are free.
ANY_NAMES: Final = TopNames()
