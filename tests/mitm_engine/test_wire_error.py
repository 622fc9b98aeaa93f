"""The error that ends an exchange: what the client reads, and what stays in the log."""

import json

import pytest

from mitm_engine.wire_error import WireError, plain_response
from shared.core.errors import ERRORS


@pytest.mark.parametrize("code", ERRORS)
def test_wire_error_has_the_status_and_the_text_of_its_code(code: str) -> None:
    rejection = WireError(code).rejection()
    assert (rejection.status, rejection.message) == ERRORS[code]
    assert str(WireError(code)) == f"{code}: {rejection.message}"


def test_detail_about_an_upstream_is_for_logs_and_never_goes_to_the_client() -> None:
    error = WireError("upstream_unreachable", "10.0.0.1 refused")
    response = plain_response(error, None)
    assert b"10.0.0.1" not in (response.raw_content or b"")
    assert json.loads(response.raw_content or b"")["error"]["code"] == "upstream_unreachable"
    assert str(error) == "upstream_unreachable: 10.0.0.1 refused"


def test_detail_about_a_request_tells_its_client_what_to_change() -> None:
    assert WireError("bad_request", "A bad name.").rejection().message == "A bad name."


def test_headers_of_an_error_go_out_with_its_response() -> None:
    assert plain_response(WireError("overloaded"), None).headers["retry-after"] == "1"
    response = plain_response(WireError("method_not_allowed", headers={"Allow": "GET"}), None)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_an_unknown_code_is_an_error() -> None:
    with pytest.raises(KeyError):
        WireError("no_such_code")
