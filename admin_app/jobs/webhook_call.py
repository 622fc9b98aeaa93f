"""One call of a webhook: signed, to a checked address, without redirects, and read up to the status only."""

from collections.abc import Callable
from typing import Final, NamedTuple

from shared.alerts.delivery import signature
from shared.core.errors import GatewayError, OutsideError
from shared.model.webhooks import Webhook
from shared.net.port import FetchRequest, FetchResponse
from shared.secrets.context import PLATFORM, webhook_context
from shared.services import Services
from shared.settings.provider_secrets import env_secret, file_secret

#: Seconds that a receiver has.
TIMEOUT: Final = 5.0
_UNREADABLE: Final = "Its secret cannot be read. Send it again, or open the variable or file that has it."


class Called(NamedTuple):
    """The result of a call.

    Attributes:
        status: that of the response; None: there was none.
        milliseconds: how long it took.
        error: what went wrong; None: the status was 2xx.
    """

    status: int | None
    milliseconds: int
    error: str | None


def call_webhook(
    services: Services,
    fetch: Callable[[FetchRequest], FetchResponse],
    webhook: Webhook,
    *,
    owner: str,
    event: str,
    delivery: str,
    body: bytes,
) -> Called:
    """Call a webhook of an owner once."""
    clock = services.clock
    began = clock.monotonic()

    def result(status: int | None, error: str | None) -> Called:
        return Called(status, round((clock.monotonic() - began) * 1000), error)

    secret = _secret(services, webhook, owner)
    if secret is None:
        return result(None, _UNREADABLE)
    headers = {
        "Content-Type": "application/json",
        "X-Gateway-Event": event,
        "X-Gateway-Delivery": delivery,
        "X-Gateway-Signature": signature(secret, clock.now(), body),
    }
    request = FetchRequest(
        method="POST", url=webhook.url, headers=headers, body=body, timeout=TIMEOUT, max_bytes=0
    )
    try:
        status = fetch(request).status
    except OutsideError as error:
        return result(None, str(error))
    return result(status, None if 200 <= status < 300 else f"The status is {status}.")


def _secret(services: Services, webhook: Webhook, owner: str) -> str | None:
    """The secret that signs; None: it cannot be read."""
    if webhook.secret is not None:
        try:
            context = webhook_context(owner, webhook.id, webhook.url)
            return services.sealer.open(webhook.secret.text, context)
        except (GatewayError, ValueError):
            return None
    if owner != PLATFORM:
        return None
    name = env_secret(webhook.env) if webhook.env is not None else file_secret(webhook.file or "")
    return services.opened.get(name)
