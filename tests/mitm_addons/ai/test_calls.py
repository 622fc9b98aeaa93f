"""Requests to models: each goes to its model as the provider knows it, or is rejected with the reason."""

import gzip
import json
from typing import Any

import pytest

from shared.core.errors import Rejection
from shared.model.messages import Response
from shared.model.providers import Model, ModelTarget
from shared.providers.calls import ApiCall
from shared.routing.ai_calls import ended
from shared.routing.upstream import Upstream
from shared.upstreams.attempt import Ended
from tests.mitm_addons.ai.calls import FORM, ask, form


def test_a_model_of_the_gateway_is_sent_as_the_name_that_the_provider_knows() -> None:
    body = b'{"messages":[ ], "model" : "fast", "x":1.50}'
    (upstream, sent), one = ask(body)
    assert isinstance(upstream, Upstream)
    assert sent == b'{"messages":[ ], "model" : "gpt-6-luna", "x":1.50}'
    assert dict(one.fields()) == {b"X-Gateway-Provider": b"main", b"X-Gateway-Model": b"gpt-6-luna"}


def test_a_body_with_the_providers_own_name_is_sent_byte_for_byte() -> None:
    body = b'{ "model":"gpt-6-luna","unknown_field": {"a":[1 ,2]} }'
    (_, sent), _ = ask(body)
    assert sent is body


PICTURE = {"type": "image_url", "image_url": {"url": "https://x.example/1.png"}}


def picture(model: str) -> Any:
    return {"model": model, "messages": [{"role": "user", "content": [PICTURE]}]}


def test_a_request_that_no_target_can_serve_is_rejected_with_what_the_model_lacks() -> None:
    found, one = ask(picture("blind"))
    assert isinstance(found, Rejection)
    assert (found.status, found.code) == (400, "unsupported_by_model")
    assert found.message == "The model blind has no vision. Choose a model that can serve this request."
    assert one.attempts.why_not == {"prv_1/blind": "has no vision"}
    found, _ = ask({"model": "blind", "messages": [{"role": "user", "content": "word " * 5_000}]})
    assert "has a context of 1,000 tokens, less than about 6,414." in found.message


def test_a_request_goes_to_the_target_that_can_serve_it() -> None:
    targets = (
        ModelTarget(provider="main", model="blind"),
        ModelTarget(provider="main", model="new", priority=1),
    )
    (_, sent), one = ask(picture("both"), models={"both": Model("both", targets)})
    assert json.loads(sent)["model"] == "new"
    assert one.attempts.why_not == {"prv_1/blind": "has no vision"}
    (_, sent), _ = ask({"model": "both", "messages": []}, models={"both": Model("both", targets)})
    assert json.loads(sent)["model"] == "blind"


def test_a_capability_that_the_provider_declares_replaces_the_shipped_one() -> None:
    (_, sent), _ = ask(picture("gpt-4"))
    assert json.loads(sent)["model"] == "gpt-4"


def test_the_model_of_a_form_is_sent_as_the_name_that_the_provider_knows() -> None:
    (_, sent), _ = ask(form("fast"), "/ai/v1/audio/transcriptions", **FORM)
    assert sent == form("gpt-6-luna")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(), "missing_model"),
        (form("nope"), "model_not_found"),
        (form("fast", "gpt-6-luna"), "bad_request"),
        (form("fast", file="model"), "bad_request"),
        (b"--x\r\n", "bad_request"),
    ],
)
def test_a_form_without_one_usable_model_is_rejected(body: bytes, code: str) -> None:
    found, _ = ask(body, "/ai/v1/audio/transcriptions", **FORM)
    assert isinstance(found, Rejection)
    assert found.code == code


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"messages": []}, "missing_model"),
        ({"model": "nope", "messages": []}, "model_not_found"),
        (b'{"model":"fast","model":"priced"}', "invalid_json"),
        (b'{"Model":"fast"}', "invalid_json"),
        (b"not json", "invalid_json"),
    ],
)
def test_a_request_without_a_usable_model_is_rejected(document: Any, code: str) -> None:
    found, _ = ask(document)
    assert isinstance(found, Rejection)
    assert found.code == code


def test_the_list_of_models_has_the_shape_of_the_clients_sdk() -> None:
    found, _ = ask(b"", "/ai/v1/models", "GET")
    assert isinstance(found, Response)
    names = [one["id"] for one in json.loads(found.body or b"")["data"]]
    assert names == ["blind", "fast", "gpt-4", "gpt-6-luna", "old", "priced"]
    found, _ = ask(b"", "/ai/v1/models?limit=1", "GET", **{"anthropic-version": "2023-06-01"})
    assert json.loads(found.body or b"")["has_more"] is True
    found, _ = ask(b"", "/ai/v1/models/fast", "GET")
    assert json.loads(found.body or b"")["id"] == "fast"


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/ai/v1/models/nope", "GET", "model_not_found"),
        ("/ai/v1/models", "POST", "method_not_allowed"),
        ("/ai/v1/files", "POST", "api_not_supported"),
    ],
)
def test_other_requests_are_rejected_with_the_reason(path: str, method: str, code: str) -> None:
    found, _ = ask(b"", path, method)
    assert isinstance(found, Rejection)
    assert found.code == code


def test_a_form_without_a_model_gets_that_of_the_rule() -> None:
    (_, sent), _ = ask(form(), "/ai/v1/audio/transcriptions", default_model="fast", **FORM)
    assert sent == form("gpt-6-luna")


ZIPPED = {"Content-Encoding": "gzip"}


def test_the_model_of_a_compressed_body_is_sent_as_the_name_that_the_provider_knows() -> None:
    (_, sent), one = ask(gzip.compress(b'{"model":"fast","stream":true}'), **ZIPPED)
    assert json.loads(sent)["model"] == "gpt-6-luna"
    assert one.asks_usage
    (upstream, sent), _ = ask(gzip.compress(form("fast")), "/ai/v1/audio/transcriptions", **FORM, **ZIPPED)
    assert sent == form("gpt-6-luna")
    assert "content-encoding" in upstream.own.replaced


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"model=fast", "application/x-www-form-urlencoded"),
        (b"hello", "text/plain"),
        (b"\0\1", "application/octet-stream"),
        (b'["fast"]', "application/json"),
        (b'"fast"', "application/json"),
    ],
)
def test_a_body_whose_model_cannot_be_read_is_rejected_although_there_is_a_default(
    body: bytes, kind: str
) -> None:
    found, _ = ask(body, default_model="fast", **{"Content-Type": kind})
    assert isinstance(found, Rejection)
    assert found.code == "invalid_json"


def test_a_request_without_a_body_calls_the_default_model() -> None:
    found, _ = ask(b"", "/ai/v1/responses", default_model="fast")
    assert isinstance(found, tuple)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/ai/v1/chat/completions", "GET"),
        ("/ai/v1/chat/completions", "HEAD"),
        ("/ai/v1/chat/completions", "OPTIONS"),
        ("/ai/v1/responses", "PUT"),
        ("/ai/v1/audio/speech", "DELETE"),
    ],
)
def test_another_method_than_that_of_the_api_is_rejected_although_there_is_a_default(
    path: str, method: str
) -> None:
    found, _ = ask(b"", path, method, default_model="fast")
    assert isinstance(found, Rejection)
    assert (found.code, found.headers["Allow"]) == ("method_not_allowed", "POST")


def test_a_wrong_page_of_the_list_is_rejected_by_name() -> None:
    found, _ = ask(b"", "/ai/v1/models?limit=0", "GET", **{"anthropic-version": "2023-06-01"})
    assert isinstance(found, Rejection)
    assert "limit" in found.message


@pytest.mark.parametrize(
    ("why", "status", "wait"),
    [
        (Ended("no_upstream", 3.2), 503, "4"),
        (Ended("no_upstream", 5.0), 503, "5"),
        (Ended("no_upstream", 0.0), 503, "1"),
        (Ended("no_provider_key", None), 503, "1"),
        (Ended("rate_limit_exceeded", 29.5), 429, "30"),
    ],
)
def test_the_error_without_a_target_says_when_to_come_back(why: Ended, status: int, wait: str) -> None:
    found = ended(why, "fast")
    assert (found.status, found.headers.get("Retry-After")) == (status, wait)
    assert "fast" in found.message


def test_the_api_of_the_path_is_kept() -> None:
    _, one = ask({"model": "fast", "messages": []})
    assert one.call == ApiCall("openai.chat", "/chat/completions")
