"""One text has one verdict: as a whole, and streamed with the text and the bytes cut at every position."""

from itertools import product

import pytest

from shared.pipeline.plugin import Patch, Reject
from shared.plugins.content_validator import ContentValidator
from tests.bodies.streams import ENDPOINTS, Endpoint
from tests.plugins.test_content_validator_streams import passed, whole, whole_response
from tests.support.cases import pairwise, slow

SETTINGS = {
    "block": {"blocked_patterns": ["secret", r"é\d"]},
    "mask": {"blocked_patterns": ["secret", r"é\d"], "action": "mask"},
    "must": {"required_patterns": ["secret"]},
}


AXES = (ENDPOINTS, list(SETTINGS), ["a secret", "é7 secre", "secre t"])


@pytest.mark.parametrize(
    ("endpoint", "settings", "text", "step"),
    [*((*case, 9) for case in pairwise(*AXES)), *slow(*((*case, 1) for case in product(*AXES)))],
    ids=lambda value: value.name if isinstance(value, Endpoint) else str(value),
)
def test_a_cut_body_gets_the_verdict_of_the_whole(
    endpoint: Endpoint, settings: str, text: str, step: int
) -> None:
    plugin = ContentValidator.parse(SETTINGS[settings])
    body, content_type = whole_response(endpoint, text)
    verdict = whole(plugin, body, content_type)
    rejected = isinstance(verdict, Reject)
    for place in range(len(text) + 1):
        stream = endpoint.stream([text[:place], text[place:]])
        collected = whole(plugin, stream, endpoint.content_type)
        sent, reject = passed(plugin, stream, endpoint.content_type, range(len(stream)))
        assert (isinstance(collected, Reject), reject is not None) == (rejected, rejected)
        if not rejected:
            assert sent == (collected.body if isinstance(collected, Patch) else stream)
    stream = endpoint.stream([text[:4], text[4:]])
    expected = passed(plugin, stream, endpoint.content_type)
    for byte in range(0, len(stream), step):
        assert passed(plugin, stream, endpoint.content_type, [byte]) == expected
