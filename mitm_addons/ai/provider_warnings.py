"""Warnings about responses of providers that are not as their API describes them."""

import logging
from typing import Final

from shared.core.durations import HOUR_SECONDS
from shared.core.memo import BoundedDict
from shared.secrets.redaction import redact
from shared.usage.reported import MAX_REPORTED

logger = logging.getLogger(__name__)

# Seconds until a provider of a tenant is named again, and the most that are remembered.
_SILENCE: Final = HOUR_SECONDS
_MAX_SILENT: Final = 1_000
_MAX_HEAD: Final = 1_024  # bytes of a body


class ProviderWarnings:
    """Logs what a provider has sent, once an hour for each tenant. `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._silent = BoundedDict[tuple[str, str, str], float](_MAX_SILENT)

    def implausible(self, provider: str, tenant_id: str, now: float) -> None:
        """It has reported more usage than a call can have."""
        if self._is_due("implausible", provider, tenant_id, now):
            logger.warning(
                "Provider %s has reported more than %d tokens for a call of tenant %s. They are estimated.",
                provider,
                MAX_REPORTED,
                tenant_id,
            )

    def untranslatable(self, provider: str, tenant_id: str, body: bytes, now: float) -> None:
        """It has sent a response that cannot be translated. Of its body, the beginning is logged, redacted.

        Nothing that the gateway sent as a secret may be in `body` any more.
        """
        if self._is_due("untranslatable", provider, tenant_id, now):
            logger.warning(
                "A response of provider %s to tenant %s cannot be translated. It has %d bytes and begins: %s",
                provider,
                tenant_id,
                len(body),
                redact(body[:_MAX_HEAD].decode(errors="replace")),
            )

    def _is_due(self, kind: str, provider: str, tenant_id: str, now: float) -> bool:
        name = (kind, provider, tenant_id)
        if now < self._silent.get(name, now):
            return False
        self._silent.keep(name, now + _SILENCE)
        return True
