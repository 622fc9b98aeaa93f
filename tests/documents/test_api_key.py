"""The bodies about API keys."""

from typing import Any

import pytest

from shared.documents.api_key import ApiKeyInput, RotateInput
from shared.model.config import Scope
from tests.documents.bodies import problems


class TestApiKey:
    def test_key_has_the_proxy_scope_and_no_expiry_by_default(self) -> None:
        assert ApiKeyInput().load({}) == {"name": "", "scopes": [Scope.PROXY], "expires_at": None}

    @pytest.mark.parametrize("scopes", [[], ["root"], "admin", [None], ["admin"] * 4])
    def test_scopes_are_some_of_three(self, scopes: Any) -> None:
        assert all(p.startswith("/scopes") for p in problems(ApiKeyInput(), {"scopes": scopes}))

    def test_old_key_is_valid_for_a_day_after_rotation_by_default(self) -> None:
        assert RotateInput().load({}) == {"overlap": 86_400.0}
        assert RotateInput().load({"overlap": "0s"}) == {"overlap": 0.0}
