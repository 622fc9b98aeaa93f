"""Commands for operators: ``python -m shared.redis_server accept`` makes the present store the true one.

A gateway rejects changes while its store is not the one that it served last. When that store is gone for
good, ``accept`` makes the present one the true one. With ``--secrets``, the pepper and the encryption key of
this machine become those of the store: then API keys and secrets that need others can no longer be used.

``rotate-secrets`` seals all stored secrets with the first key of ``security.key_file``, and names all stored
parts by the first pepper of ``security.pepper_file``, while the gateway serves.

``check`` looks for records and indexes that contradict each other, and for entries of the audit log that were
changed or removed, in Redis and in the files of this machine.
"""

import argparse
import os
import sys
from contextlib import closing

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.client import open_client, read_state
from shared.config_store.history.archive import FOLDER
from shared.config_store.history.rename import rename_parts
from shared.config_store.identity import SecretIds, StoreState
from shared.config_store.redis_errors import redis_errors
from shared.config_store.seen_file import SeenFile
from shared.config_store.snapshot import SnapshotFile
from shared.config_store.store import open_store
from shared.core.errors import GatewayError
from shared.redis_server.choose import RedisAddress, open_redis
from shared.redis_server.operator_events import note_event
from shared.redis_server.rotate import rotate_secrets
from shared.redis_server.store_secrets import audit_key, part_names, read_own_secrets
from shared.settings import Settings, load_settings_or_exit

_ROTATION_SECONDS = 10.0  # for a call: all versions of an owner are written at once
_PROGRAM = "python -m shared.redis_server"


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Commands for the configuration store.")
    commands = parser.add_subparsers(dest="command", required=True)
    accepting = commands.add_parser("accept", help="make the present store the true one")
    accepting.add_argument(
        "--secrets", action="store_true", help="give up the API keys and secrets that need other files"
    )
    commands.add_parser("check", help="look for damage; ends with 1 if there is any")
    commands.add_parser("rotate-secrets", help="use the newest encryption key and pepper for all")
    arguments = parser.parse_args()
    found: list[str] = []
    try:
        settings = load_settings_or_exit()
        with closing(open_redis(settings)) as address:
            if arguments.command == "check":
                with open_client(address.options) as client, redis_errors():
                    archive = settings.data_dir / FOLDER
                    found = violations(client, part_names(settings), audit_key(settings, client), archive)
                lines = found or [f"The store {address.name} is whole."]
            elif arguments.command == "rotate-secrets":
                lines, found = _rotate(settings, address)
            else:
                lines = [accept(settings, address, with_secrets=arguments.secrets)]
            sys.stdout.write("\n".join([*lines, ""]))
    except (GatewayError, OSError) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    sys.exit(1 if found else 0)


def _rotate(settings: Settings, address: RedisAddress) -> tuple[list[str], list[str]]:
    """Rotate the secrets. Returns sentences about the work that is done, and about the work that is left."""

    def progress(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            sys.stderr.write(f"{done} of {total} owners are done.\n")

    with open_client(address.options, _ROTATION_SECONDS) as client, redis_errors():
        result = rotate_secrets(settings, client, progress)
    note_event(
        settings,
        address,
        "rotateSecrets",
        f"{result.sealed} secrets sealed with {result.keys[-1]}, parts named by {result.peppers[-1]}",
    )
    left = [f"{owner} was left as it is: {why}" for owner, why in result.left.items()]
    lines = [f"{result.sealed} secrets of {result.owners} owners were sealed with the key {result.keys[-1]}."]
    if result.unusable:
        lines.append(f"{result.unusable} secrets cannot be opened, and stay as they are.")
    for owner, count in sorted(result.older.items()):
        lines.append(
            f"{count} API keys or tokens of {owner} need an older pepper until they are issued again."
        )
    needs = f"The store {address.name} needs these"
    lines += [*left, f"{needs} peppers for its documents now: {', '.join(result.peppers)}."]
    return [*lines, f"{needs} encryption keys now: {', '.join(result.keys)}."], left


def accept(settings: Settings, address: RedisAddress, *, with_secrets: bool) -> str:
    """Make the store the true one. Returns what was done. Raises `GatewayError` or OSError."""
    folder = settings.data_dir
    file = SeenFile(folder / "store.json", address.mode)
    stored = SnapshotFile(folder / "snapshot.sqlite").meta()
    seen = file.load_newest(stored.get("stores", {}))
    with open_client(address.options) as client, redis_errors():
        found = read_state(client)
        why = seen.why_lost(found) if seen else None
        ids = _secret_ids(settings, found, with_secrets=with_secrets)
        if why is None and ids is None:
            return f"The store {address.name} is the one that was served last. There is nothing to accept."
        replaced = (seen.id, str(seen.generation)) if seen and why else ("", "")
        own = (ids.peppers[0], " ".join(ids.keys)) if ids else ("", "")
        if ids:
            rename_parts(client, part_names(settings))
        client.register_script(layout.script("accept"))(
            [layout.IDENTITY], [os.urandom(16).hex(), *replaced, *own]
        )
        accepted = read_state(client)
    if accepted is not None:
        file.save(accepted)
    tenants = open_store(address.options, quarantine=0).count()
    done = f"ccepted the store {address.name} ({address.mode}), which has {tenants} tenants"
    note_event(settings, address, "acceptStore", f"a{done}{', with other secrets' if with_secrets else ''}")
    return f"A{done}."


def _secret_ids(settings: Settings, found: StoreState | None, *, with_secrets: bool) -> SecretIds | None:
    """The secrets that become those of the store: with the flag, or if it is empty; else None."""
    if found is not None and not with_secrets:
        return None
    return SecretIds.of(*read_own_secrets(settings, os.urandom))


if __name__ == "__main__":
    main()
