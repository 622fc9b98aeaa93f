"""The examples of docs/how-to/webhooks.md work as printed: the webhook, the alert, and the receiver."""

import json
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.alerts.alert import KINDS, budget_reached
from shared.alerts.delivery import signature
from shared.alerts.stream import note_of
from tests.admin_app.world import NOW, Api, app_of, make_world
from tests.support.commands import serving

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md").read_text(encoding="utf-8")
WEBHOOK, ALERT = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
[RECEIVER] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SECRET = WEBHOOK["secret"]
BODY = json.dumps(ALERT).encode()


@pytest.fixture
def receiver() -> dict[str, Any]:
    """The names of the page's receiver, which was not started."""
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(RECEIVER, "receiver.py", "exec"), names)
    return names


@pytest.fixture
def port(receiver: dict[str, Any]) -> Iterator[int]:
    receiver["Receiver"].log_message = lambda *_: None
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), receiver["Receiver"])) as port:
        yield port


def post(port: int, signed: str, body: bytes = BODY) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {
        "X-Gateway-Signature": signed,
        "X-Gateway-Delivery": "1-0.hook_1",
        "X-Gateway-Event": "budget.reached",
    }
    connection.request("POST", "/", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_webhook_of_the_page_is_accepted(tmp_path: Path) -> None:
    api = Api(app_of(make_world(tmp_path)))
    assert api.create("/webhooks", WEBHOOK)["name"] == "on-call"


def test_alert_of_the_page_has_the_members_of_real_ones() -> None:
    alert = budget_reached(
        tenant="t",
        budget_id="b",
        name="monthly",
        unit="usd",
        percent=80,
        used=8_500_000_000,
        limit=10_000_000_000,
        began=NOW,
        ends=NOW,
        at=NOW,
    )
    real = json.loads(note_of(alert).arguments[2])
    assert {"id", *real} == ALERT.keys()
    assert real["data"].keys() == ALERT["data"].keys()
    assert (real["time"], real["data"]["used"]) == (ALERT["time"], ALERT["data"]["used"])
    assert re.findall(r"^\| `([a-z]+\.[a-z]+)` \| (.*) \|$", PAGE, re.MULTILINE) == [*KINDS.items()]


def test_receiver_of_the_page_takes_what_is_signed_once(
    port: int, receiver: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    assert post(port, signature(SECRET, now, BODY)) == 204
    assert post(port, signature(SECRET, now + 1, BODY)) == 204
    assert capsys.readouterr().out.count("budget.reached {") == 1
    assert receiver["seen"] == {"1-0.hook_1"}


@pytest.mark.parametrize(
    ("secret", "seconds", "body"),
    [("another-secret-of-16", 0, BODY), (SECRET, -301, BODY), (SECRET, 302, BODY), (SECRET, 0, BODY + b" ")],
)
def test_receiver_of_the_page_rejects_what_is_not_genuine(
    port: int, receiver: dict[str, Any], secret: str, seconds: float, body: bytes
) -> None:
    assert post(port, signature(secret, time.time() + seconds, BODY), body) == 401
    assert post(port, "t=1,v1=") == 401
    assert receiver["seen"] == set()
