"""The lifetimes of keys of tenants and of tokens of the platform: when they end, and how they are rotated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from admin_app.context import services
from shared.core.errors import Invalid, Problem
from shared.model.config import ApiKey, PlatformToken


def check_expiry(sent: Mapping[str, Any], tenant_id: str = "") -> None:
    """Raise `Invalid` if a new key would have ended already."""
    expires_at = sent.get("expires_at")
    if expires_at is not None and expires_at <= services().clock.now():
        raise Invalid([Problem("/expires_at", "Must be in the future.")])


def begun_again[Key: (ApiKey, PlatformToken)](old: Key, now: float) -> Key:
    """A key as `old` that begins now, and lives as long as that one was to live."""
    expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    return replace(old, created_at=now, last_used_at=None, expires_at=expires_at)


def ended_by[Key: (ApiKey, PlatformToken)](key: Key, end: float) -> Key:
    """The key, which ends at the time `end`, or before if it would."""
    return replace(key, expires_at=end if key.expires_at is None else min(end, key.expires_at))
