"""The bodies about API keys."""

from typing import Any

import pytest

from shared.documents.api_key import ApiKeyInput, RotateInput
from shared.model.config import Scope
from tests.documents.bodies import problems


class TestApiKey:
    def test_key_has_the_proxy_scope_and_no_expiry_by_default(self) -> None:
        found = ApiKeyInput().load({})
        assert (found["name"], found["scopes"], found["expires_at"]) == ("", (Scope.PROXY,), None)

    def test_key_may_use_every_model_by_default(self) -> None:
        found = ApiKeyInput().load({})
        assert (found["models"], found["deny_models"], found["providers"]) == (None, (), None)
        assert (found["user"], found["metadata"]) == (None, {})

    @pytest.mark.parametrize(
        ("members", "at"),
        [
            ({"models": [""]}, "/models/0"),
            ({"models": "gpt-*"}, "/models"),
            ({"deny_models": ["x" * 257]}, "/deny_models/0"),
            ({"providers": ["Open AI"]}, "/providers/0"),
            ({"user": "u" * 129}, "/user"),
            ({"metadata": {"project": "x" * 257}}, "/metadata/project"),
            ({"metadata": {"p" * 65: "x"}}, f"/metadata/{'p' * 65}"),
            ({"metadata": {"project": 5}}, "/metadata/project"),
            ({"metadata": {str(i): "x" for i in range(17)}}, "/metadata"),
        ],
    )
    def test_bounds_of_what_a_key_may_use_and_say(self, members: Any, at: str) -> None:
        assert set(problems(ApiKeyInput(), members)) == {at}

    @pytest.mark.parametrize("scopes", [[], ["root"], "admin", [None], ["admin"] * 4])
    def test_scopes_are_some_of_three(self, scopes: Any) -> None:
        assert all(p.startswith("/scopes") for p in problems(ApiKeyInput(), {"scopes": scopes}))

    def test_old_key_is_valid_for_a_day_after_rotation_by_default(self) -> None:
        assert RotateInput().load({}) == {"overlap": 86_400.0}
        assert RotateInput().load({"overlap": "0s"}) == {"overlap": 0.0}
