"""The peppers and the encryption keys of this machine, checked against the store that they belong to.

Without a pepper the stored documents have no valid names, and without a key stored secrets cannot be
decrypted. So the start is rejected, and a file that is missing is created only for a store without tenants.
A pepper that only API keys need is not demanded: then they are rejected, and the start says so.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis, ResponseError

from shared.config_store import layout
from shared.config_store.client import open_client, read_state
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.retired import older_hashes, retired_keys
from shared.config_store.identity import ACCEPT, ADOPTION_KEYS, SecretIds, StoreState, adoption
from shared.config_store.records.parts import PartNames
from shared.config_store.redis_errors import is_forbidden, redis_errors
from shared.core.errors import GatewayError, StoreDown
from shared.core.process.data_files import writing_to
from shared.redis_server.choose import RedisAddress
from shared.secrets.api_keys import SECRET_BYTES, PepperedHasher
from shared.secrets.files import SecretFileError, read_secrets
from shared.secrets.sealing import AesSealer
from shared.settings import Settings

logger = logging.getLogger(__name__)

_GIVE_UP = f"or give up what needs it with: {ACCEPT} --secrets."


@dataclass(frozen=True, slots=True)
class StoreNeeds:
    """The ids of the secrets that a store needs. `has_tenants` is None when that is unknown."""

    has_tenants: bool | None
    peppers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class _SecretFile(NamedTuple):
    """The file that `setting` has `given`, or else the gateway's `own`."""

    given: Path | None
    own: Path
    setting: str

    @property
    def is_missing(self) -> bool:
        """Whether a new one would be created."""
        return self.given is None and not self.own.exists()

    def read(self, random_bytes: Callable[[int], bytes]) -> list[bytes]:
        return read_secrets(self.given, self.own, random_bytes, setting=self.setting)


def _files(settings: Settings) -> tuple[_SecretFile, _SecretFile]:
    """The file of the peppers, and that of the encryption keys."""
    security, folder = settings.security, settings.data_dir
    return (
        _SecretFile(security.pepper_file, folder / "pepper", "security.pepper_file"),
        _SecretFile(security.key_file, folder / "encryption-key", "security.key_file"),
    )


def open_secrets(
    settings: Settings,
    address: RedisAddress,
    seen: StoreState | None,
    random_bytes: Callable[[int], bytes],
) -> tuple[list[bytes], list[bytes]]:
    """The peppers and the encryption keys. Raises `GatewayError` when they are not those of the store.

    `seen` is the state of the store that was served last. It counts while the store does not respond, or has
    not the data that were served.
    """
    pepper_file, key_file = _files(settings)
    with open_client(address.options) as client:
        found = _find_needs(client, seen)
        for one in (pepper_file, key_file):
            with writing_to(settings.data_dir):
                is_missing = one.is_missing
            if is_missing:
                _check_may_create(one.own, one.setting, found, address)
        peppers, keys = read_own_secrets(settings, random_bytes)
        ids = SecretIds.of(peppers, keys)
        if found.has_tenants is False:
            is_ours = {ids.peppers[0]} <= {*found.peppers} <= {*ids.peppers}
            if not is_ours or not {ids.keys[0]} <= {*found.keys} <= {*ids.keys}:
                _adopt_empty(client, ids)
        else:
            _check_pepper(pepper_file.given or pepper_file.own, ids, found, address)
            _check_keys(key_file.given or key_file.own, ids, found, address)
            _warn_of_keys(client, ids)
    return peppers, keys


def read_own_secrets(
    settings: Settings, random_bytes: Callable[[int], bytes]
) -> tuple[list[bytes], list[bytes]]:
    """The peppers and the encryption keys in their files. One that is missing in `data_dir` is created."""
    pepper_file, key_file = _files(settings)
    return pepper_file.read(random_bytes), key_file.read(random_bytes)


def part_names(settings: Settings) -> PartNames:
    """The names that the peppers of this machine make. Without a pepper, no stored part fits them."""
    return PartNames.of(*PepperedHasher(*_peppers(settings)).each)


def audit_key(settings: Settings, client: Redis | None = None) -> AuditKey:
    """The key of the audit log that the newest pepper makes. Without a pepper, no entry fits it.

    With a `client`, entries that were signed by an older pepper fit, too.
    """
    newest, *older = _peppers(settings)
    if client is None:
        return AuditKey.of(PepperedHasher(newest))
    _, key_file = _files(settings)
    keys = [os.urandom(SECRET_BYTES)] if key_file.is_missing else key_file.read(os.urandom)
    return AuditKey.of(PepperedHasher(newest), retired_keys(client, AesSealer(keys, os.urandom), older))


def _peppers(settings: Settings) -> list[bytes]:
    pepper, _ = _files(settings)
    return [os.urandom(SECRET_BYTES)] if pepper.is_missing else pepper.read(os.urandom)


def _find_needs(client: Redis, seen: StoreState | None) -> StoreNeeds:
    try:
        with redis_errors():
            state = read_state(client)
            tenants: Any = client.zcard(layout.ORDER)
            form: Any = client.get(layout.LAYOUT)
            # A store of an older release has no identity. The hash of a key begins with the pepper's id.
            key_hash: Any = client.hrandfield(layout.HASHES)
    except StoreDown:
        return StoreNeeds(True, seen.peppers, seen.keys) if seen and seen.revision else StoreNeeds(None)
    if int(form or 0) > layout.FORMAT:
        raise GatewayError(
            f"The store has layout {int(form)} of a newer release; this one reads up to {layout.FORMAT}. "
            "Start the newer release."
        )
    if seen and seen.why_lost(state):
        return StoreNeeds(True, seen.peppers, seen.keys)
    if state is None:
        return StoreNeeds(tenants > 0, (key_hash.decode().partition(":")[0],) if key_hash else ())
    return StoreNeeds(tenants > 0, state.peppers, state.keys)


def _check_may_create(own: Path, setting: str, needs: StoreNeeds, address: RedisAddress) -> None:
    if needs.has_tenants:
        raise SecretFileError(
            f"{setting}: {own} is missing, and the store {address.name} has tenants that need it. "
            f"Restore the file, {_GIVE_UP}"
        )
    if needs.has_tenants is None:
        raise StoreDown(
            f"{setting}: {own} is missing, and cannot be created while the store {address.name} does not "
            "respond, because its tenants may need another one. Start the store first."
        )


def _adopt_empty(client: Redis, ids: SecretIds) -> None:
    """Make our secrets those of a store without tenants. The user of a proxy may not: the admin API does."""
    with redis_errors():
        try:
            client.register_script(layout.script("adopt"))(ADOPTION_KEYS, adoption(ids))
        except ResponseError as error:
            if not is_forbidden(error):
                raise
            logger.warning("The store is new, and this user of Redis may not begin it. Start the admin API.")


def _check_pepper(file: Path, ids: SecretIds, needs: StoreNeeds, address: RedisAddress) -> None:
    if missing := set(needs.peppers) - set(ids.peppers):
        raise SecretFileError(
            f"security.pepper_file: {file} lacks the pepper {', '.join(sorted(missing))} of the store "
            f"{address.name}, so its documents and API keys would not be valid. Add it as a further line, "
            f"{_GIVE_UP}"
        )


def _warn_of_keys(client: Redis, ids: SecretIds) -> None:
    """Say how many API keys are rejected, because their pepper was removed. Silent while Redis is away."""
    with suppress(StoreDown), redis_errors():
        for pepper, count in older_hashes(client).items():
            if pepper not in ids.peppers:
                logger.warning(
                    "security.pepper_file lacks the pepper %s of %d API keys and tokens, which are rejected. "
                    "Add it as a further line, or issue them again.",
                    pepper,
                    count,
                )


def _check_keys(file: Path, ids: SecretIds, needs: StoreNeeds, address: RedisAddress) -> None:
    if missing := set(needs.keys) - set(ids.keys):
        raise SecretFileError(
            f"security.key_file: {file} lacks the encryption key {', '.join(sorted(missing))} of the store "
            f"{address.name}. Add it as a further line, {_GIVE_UP}"
        )
