"""The engine's own answers tell a client what it can do, and nothing of the inside."""

import json

import pytest

from mitm_engine.faults import MEANINGS, fault, plain_response


@pytest.mark.parametrize("code", MEANINGS)
def test_every_fault_has_a_status_and_a_sentence(code: str) -> None:
    why = fault(code)
    assert 400 <= why.status <= 504
    assert why.message.endswith(".")
    assert why.detail.startswith(f"{code}: ")


def test_the_detail_is_for_logs_and_never_goes_to_the_client() -> None:
    why = fault("upstream_unreachable", detail="10.0.0.1 refused")
    response = plain_response(why, None)
    assert b"10.0.0.1" not in (response.raw_content or b"")
    assert json.loads(response.raw_content or b"")["error"]["code"] == "upstream_unreachable"
    assert why.detail == "upstream_unreachable: 10.0.0.1 refused"


def test_the_headers_of_a_fault_go_out_with_its_answer() -> None:
    assert (
        plain_response(fault("overloaded", headers={"Retry-After": "1"}), None).headers["retry-after"] == "1"
    )


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError):
        fault("no_such_code")
