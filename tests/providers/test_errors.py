"""The body of an error, in the shapes that SDKs read."""

from typing import Any

import orjson
import pytest

from shared.core.errors import Rejection
from shared.providers.errors import error_body


@pytest.mark.parametrize("anthropic", [True, False])
def test_a_plugins_details_stand_beside_the_errors_own_members_and_never_in_their_place(
    anthropic: bool,
) -> None:
    forged = {"error": "none", "type": "ok", "request_id": "another", "rate_limit": {"limit": 3}}
    plain = Rejection(429, "no", "No.")
    body: Any = orjson.loads(
        error_body(Rejection(429, "no", "No.", details=forged), "the-id", anthropic=anthropic)
    )
    own = orjson.loads(error_body(plain, "the-id", anthropic=anthropic))
    assert {name: body[name] for name in own} == own
    assert body["rate_limit"] == {"limit": 3}
