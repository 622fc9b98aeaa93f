"""The table of models that a release ships: prices, sizes and capabilities, from `models.json`.

`scripts/update_models.py` makes the file. The rows of `models` have:

| member | meaning |
|---|---|
| `provider` | the kind of provider |
| `is`, `starts`, `contains`, `ends`, `regex` | the names that the row is for |
| `context` | the most tokens of a call |
| `prices` | the prices from a day on, the newest first; without `from` they always held |
| `tiers` | by service tier: prices in place of those, from a day on |

Those of `caps` have what models can do: `kinds` of providers, `names` (`caps.base_name`), and `caps`.
`fallbacks` has, by kind, the kinds whose models it offers, too.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from shared.core.empty import EMPTY
from shared.core.memo import BoundedDict
from shared.providers.shipped.caps import base_name

_FILE: Final = Path(__file__).parent / "models.json"

_PATTERNS: Final = frozenset({"starts", "contains", "ends", "regex"})

# Names whose rows are kept: clients choose them.
_KEPT: Final = 10_000
_UNKNOWN: Final = object()

#: A row of the file.
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The rows of one release.

    Attributes:
        source: the data that they come from.
        date: the day on which they were taken.
    """

    source: str
    date: str
    _exact: Mapping[tuple[str, str], Row] = field(repr=False)
    _folded: Mapping[tuple[str, str], Row] = field(repr=False)
    _patterns: Mapping[str, Sequence[Row]] = field(repr=False)
    _fallbacks: Mapping[str, Sequence[str]] = field(repr=False)
    _caps: Mapping[tuple[str, str], Row] = field(repr=False)
    # Tenants ask for the same models, and a name without a row is compared with all patterns.
    _found: BoundedDict[tuple[str, str], Row | None] = field(
        default_factory=lambda: BoundedDict(_KEPT), init=False, repr=False, compare=False
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The table in JSON."""
        document = json.loads(text)
        patterns: dict[str, list[Row]] = {}
        exact: dict[tuple[str, str], Row] = {}
        for row in document["models"]:
            if not _PATTERNS.isdisjoint(row):
                patterns.setdefault(row["provider"], []).append(row)
            for name in row.get("is", ()):
                exact.setdefault((row["provider"], name), row)
        folded: dict[tuple[str, str], Row] = {}
        for (maker, name), row in exact.items():
            folded.setdefault((maker, name.casefold()), row)
        caps = {
            (kind, name): row["caps"]
            for row in document.get("caps", ())
            for kind in row["kinds"]
            for name in row["names"]
        }
        return cls(document["source"], document["date"], exact, folded, patterns, document["fallbacks"], caps)

    def find(self, kind: str, model: str) -> Row | None:
        """The row for a model of a kind of provider, else for its name in another case; None without one."""
        found: Any = self._found.get((kind, model), _UNKNOWN)
        return self._found.keep((kind, model), self._find(kind, model)) if found is _UNKNOWN else found

    def _find(self, kind: str, model: str) -> Row | None:
        makers = (kind, *self._fallbacks.get(kind, ()))
        for rows, fold in ((self._exact, str), (self._folded, str.casefold)):
            name = fold(model)
            for maker in makers:
                if (row := rows.get((maker, name))) is not None:
                    return row
                for row in self._patterns.get(maker, ()):
                    if _matches(row, name, fold):
                        return row
        return None

    def context(self, kind: str, model: str) -> int | None:
        """The most tokens of a call; None when they are not known."""
        row = self.find(kind, model)
        return None if row is None else row.get("context")

    def caps(self, kind: str, model: str) -> Row:
        """The capabilities of a model of a kind of provider, as far as they are known."""
        known, context = self._caps.get((kind, base_name(model)), EMPTY), self.context(kind, model)
        return known if context is None else {"context": context, **known}

    def prices(self, kind: str, model: str, *, day: str, tier: str = "") -> Mapping[str, Any] | None:
        """The prices of a model on a day, as they are written; None when they are not known."""
        row = self.find(kind, model)
        if row is None:
            return None
        usual = _valid(row["prices"], day)
        special = _valid(row.get("tiers", {}).get(tier, ()), day)
        return {**usual, **special} if usual is not None and special is not None else usual


def _valid(dated: Sequence[Row], day: str) -> Row | None:
    return next((one for one in dated if one.get("from", "") <= day), None)


def _matches(row: Row, model: str, fold: Callable[[str], str]) -> bool:
    """Whether the row is for a model. `fold` is applied to the parts of names, as it was to `model`."""
    flags = re.IGNORECASE if fold is str.casefold else re.NOFLAG
    return (
        model.startswith(tuple(map(fold, row.get("starts", ()))))
        or model.endswith(tuple(map(fold, row.get("ends", ()))))
        or any(fold(part) in model for part in row.get("contains", ()))
        or any(re.search(pattern, model, flags) for pattern in row.get("regex", ()))
    )


@cache
def shipped_models() -> ModelTable:
    """The table of this release."""
    return ModelTable.parse(_FILE.read_text(encoding="utf-8"))
