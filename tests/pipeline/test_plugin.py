"""Settings declared once: read, checked, inherited, and wrong ones pointed at."""

from collections.abc import Mapping
from typing import Any, cast

import marshmallow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import fields, validate

from shared.core.errors import Invalid, Problem
from shared.core.fields import problems_of
from shared.model.config import Stage
from shared.model.messages import Exchange
from shared.pipeline.plugin import CONTINUE, Plugin, Tools, Verdict, setting
from tests.pipeline.faults import Unspeakable


class Inner(marshmallow.Schema):
    value = fields.Integer(required=True)
    key = fields.String()


class Sized(Plugin):
    """Has settings of every shape."""

    limit: int = setting(
        fields.Integer(strict=True, load_default=10, validate=validate.Range(1)), "How many."
    )
    label: str | None = setting(fields.String(), "Optional, without a default.")
    headers: Mapping[str, str] = setting(
        fields.Dict(
            keys=fields.String(validate=validate.Length(max=20)), values=fields.String(), load_default=dict
        ),
        "A map.",
        secret=True,
    )
    checks: list[Any] = setting(fields.List(fields.Nested(Inner), load_default=list), "A list.")
    one: Any = setting(fields.Nested(Inner, load_default=None), "One.")
    maps: Any = setting(
        fields.Dict(keys=fields.String(), values=fields.Dict(values=fields.Integer()), load_default=dict),
        "Maps in a map.",
    )
    items: Any = setting(
        fields.Dict(keys=fields.String(), values=fields.Nested(Inner), load_default=dict), "Things in a map."
    )
    value: int = setting(fields.Integer(load_default=0), "Called as marshmallow's wrapper is.")

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    async def post_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE


class Named(Sized):
    """Inherits all settings, changes one and adds one."""

    name = "named"
    limit: int = setting(fields.Integer(load_default=20), "Another default.")
    extra: bool = setting(fields.Boolean(load_default=False), "One more.")

    def prepare(self) -> None:
        if self.extra and self.limit > 100:
            raise Invalid([Problem("/limit", "At most 100 with extra.")])


def pointers(settings: Any, kind: type[Plugin] = Sized) -> list[str]:
    with pytest.raises(Invalid) as caught:
        kind.parse(settings)
    return [problem.pointer for problem in caught.value.problems]


def test_settings_become_attributes_and_gaps_are_filled() -> None:
    plugin = Sized.parse({"limit": 3, "headers": {"X": "y"}})
    assert (plugin.limit, plugin.headers, plugin.checks, plugin.label) == (3, {"X": "y"}, [], None)
    assert Sized.parse({}).limit == 10


def test_two_plugins_do_not_share_their_settings() -> None:
    first, second = Sized.parse({"limit": 1}), Sized.parse({})
    first.checks.append("x")
    assert (second.limit, second.checks) == (10, [])


def test_settings_are_inherited_and_may_be_declared_anew() -> None:
    plugin = Named.parse({"checks": [{"value": 1}]})
    assert (plugin.limit, plugin.extra, plugin.checks) == (20, False, [{"value": 1}])
    assert Sized.parse({}).limit == 10
    assert set(Named.schema().fields) == {*Sized.schema().fields, "extra"}
    assert Named.secrets == Sized.secrets == {"headers"}


def test_each_setting_is_described_once() -> None:
    assert Sized.schema().fields["limit"].metadata["description"] == "How many."
    assert Named.schema().fields["limit"].metadata["description"] == "Another default."


def test_a_plugin_is_called_as_its_file_or_as_it_says() -> None:
    assert Sized.name == "test_plugin"
    assert Named.name == "named"


def test_plugin_supports_the_stages_it_has_a_method_for() -> None:
    assert Sized.stages() == (Stage.PRE_REQUEST, Stage.POST_RESPONSE)
    assert Sized.method(Stage.PRE_REQUEST) is Sized.pre_request
    assert Sized.method(Stage.PRE_RESPONSE) is None


def test_a_plugin_that_does_nothing_more_has_harmless_follow_ups() -> None:
    plugin = Sized.parse({})
    nothing = cast(Exchange, None)
    plugin.start(cast(Tools, None))
    assert plugin.response_headers(nothing) == {}
    assert plugin.cleanup(nothing) is None
    with pytest.raises(TypeError, match="test_plugin does not merge"):
        Sized.merge([])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"limit": "x"}, ["/limit"]),
        ({"limit": 0}, ["/limit"]),
        ({"limti": 1}, ["/limti"]),
        ({"a/b": 1}, ["/a~1b"]),
        ({"a~b": 1, "": 2}, ["/a~0b", "/"]),
        ({"headers": {"X": 1}}, ["/headers/X"]),
        ({"headers": {"X/Y~Z": 1}}, ["/headers/X~1Y~0Z"]),
        ({"headers": {"X" * 21: "1"}}, ["/headers/" + "X" * 21]),
        ({"headers": {"value": 1, "key": 2}}, ["/headers/value", "/headers/key"]),
        ({"checks": [{"value": 1}, {"value": "x"}]}, ["/checks/1/value"]),
        ({"checks": [{"value": "x", "key": 1}]}, ["/checks/0/value", "/checks/0/key"]),
        ({"checks": [{}]}, ["/checks/0/value"]),
        ({"checks": "x"}, ["/checks"]),
        ({"one": {"value": "x"}}, ["/one/value"]),
        ({"one": 7}, ["/one"]),
        ({"maps": {"a": {"b": "x"}}}, ["/maps/a/b"]),
        ({"items": {"a": {"value": "x"}}}, ["/items/a/value"]),
        ({"value": "x"}, ["/value"]),
        ({"limit": "x", "value": "y"}, ["/limit", "/value"]),
        ([], [""]),
        (None, [""]),
        ("x", [""]),
    ],
)
def test_a_wrong_setting_is_pointed_at(settings: Any, found: list[str]) -> None:
    assert sorted(pointers(settings)) == sorted(found)


def test_settings_that_are_invalid_only_together_are_rejected() -> None:
    assert pointers({"extra": True, "limit": 101}, Named) == ["/limit"]


def test_a_schemas_own_errors_point_at_the_whole() -> None:
    assert problems_of({"_schema": ["Wrong."], "a": {"_schema": ["Worse."]}}) == [
        Problem("", "Wrong."),
        Problem("/a", "Worse."),
    ]


STEPS = st.lists(st.text(st.sampled_from("ab/~01"), min_size=1, max_size=5), min_size=1, max_size=4)


@given(STEPS)
def test_pointers_lead_back_to_the_names(steps: list[str]) -> None:
    messages: Any = ["Wrong."]
    for step in reversed(steps):
        messages = {step: messages}
    (problem,) = problems_of(messages)
    read = [part.replace("~1", "/").replace("~0", "~") for part in problem.pointer.split("/")[1:]]
    assert read == steps


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TypeError("no number"), "(TypeError: no number)"),
        (SystemExit(1), "(SystemExit: 1)"),
        (RecursionError(), "(RecursionError: )"),
        (Unspeakable(), "(Unspeakable)"),
    ],
)
def test_any_error_of_a_plugin_in_prepare_is_one_of_its_settings(error: BaseException, reason: str) -> None:
    class Faulty(Sized):
        name = "faulty"

        def prepare(self) -> None:
            raise error

    with pytest.raises(Invalid) as caught:
        Faulty.parse({})
    assert caught.value.problems == (Problem("", f"faulty cannot work with these settings {reason}."),)
