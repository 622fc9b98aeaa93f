"""The content validator on bodies that the SDKs of Google (google-genai 3.6) and of Ollama (0.6) built and parsed."""

import json
from typing import Any

import pytest

from shared.model.messages import Response
from shared.pipeline.plugin import CONTINUE, Reject, Verdict
from shared.plugins.content_validator import ContentValidator
from tests.plugins.exchanges import exchange, head
from tests.support.commands import ROOT

RECORDED = json.loads((ROOT / "tests/fixtures/google_and_ollama_bodies.json").read_text(encoding="utf-8"))
recorded = pytest.mark.parametrize("call", RECORDED, ids=lambda call: call["path"])


def verdicts(call: dict[str, Any], **settings: Any) -> tuple[Verdict, Verdict]:
    """The verdicts on request and response."""
    plugin = ContentValidator.parse(settings)
    got = Response(200, head(content_type=call["content_type"]), call["response"].encode())
    return (
        plugin.pre_request(exchange(call["request"].encode(), content_type="application/json")),
        plugin.pre_response(exchange(b"", response=got)),
    )


@recorded
@pytest.mark.parametrize("action", ["block", "mask"])
def test_media_of_recorded_bodies_pass_a_guard_that_would_match_them(call: Any, action: str) -> None:
    assert verdicts(call, blocked_patterns=["[A-Za-z0-9+/]{60}"], action=action) == (CONTINUE, CONTINUE)


@recorded
def test_text_of_recorded_bodies_is_judged_also_over_lines_and_in_a_text_file(call: Any) -> None:
    request, response = verdicts(call, blocked_patterns=["needle", "hidden word"])
    assert isinstance(request, Reject)
    assert isinstance(response, Reject) is ("batchEmbed" not in call["path"])
