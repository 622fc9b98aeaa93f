"""A rule that is not saved, checked and completed as if it were."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from marshmallow import ValidationError

from admin_app.changes.check_targets import check_targets
from admin_app.changes.rules import check_rest, rule_warnings, with_changed
from admin_app.changes.snapshot import check_maximum, find_rule, tier_maximum
from admin_app.context import services
from admin_app.http.bodies import malformed
from admin_app.http.errors import ApiError
from shared.core.errors import Invalid, Problem
from shared.documents.rule import RuleReplacement
from shared.model.config import Rule, Snapshot

#: The id of a draft that stands for no saved rule.
DRAFT = "draft"
# The place of the draft in the body.
_AT = "/rule"
#: Made once: to make it takes longer than to use it.
_RULE = RuleReplacement()


class Draft(NamedTuple):
    """The tenant with the rule as it would be stored, and the warnings about it."""

    snapshot: Snapshot
    warnings: list[dict[str, str]]


def with_draft(before: Snapshot, body: Mapping[str, Any]) -> Draft:
    """The tenant with a rule that is not stored. Raises as a change of the rule; pointers begin with /rule.

    An `id` names the rule that the draft replaces. Its secrets stay where the draft says so.
    """
    body = {name: value for name, value in body.items() if name != "id" or value is not None}
    stored = find_rule(before, body["id"]) if "id" in body else None
    with _below_rule():
        if stored is None:
            check_maximum("rules", len(before.rules), tier_maximum(before.tenant, "max_rules"))
        try:
            sent = _RULE.load(body)
        except ValidationError as error:
            found = malformed(error.messages, error.valid_data, body)
            raise found.judged(lambda rest: check_rest(before, rest, body, stored)) from None
        targets = check_targets(sent)
        blank = Rule(DRAFT, sent["path"], "")
        after = with_changed(before, stored or blank, sent, targets, services().clock.now())
    rule = find_rule(after, DRAFT if stored is None else stored.id)
    warnings = rule_warnings(after, rule, targets)
    return Draft(after, [{**one, "pointer": _AT + one["pointer"]} for one in warnings])


@contextmanager
def _below_rule() -> Iterator[None]:
    try:
        yield
    except Invalid as error:
        raise Invalid(_moved(error.problems)) from None
    except ApiError as error:
        problems = _moved(error.problems)
        raise ApiError(error.code, error.detail, problems, status=error.status) from None


def _moved(problems: Iterable[Problem]) -> list[Problem]:
    return [replace(problem, pointer=_AT + problem.pointer) for problem in problems]
