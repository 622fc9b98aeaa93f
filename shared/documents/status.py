"""The status of the platform as JSON: parts, workers, store, jobs, addresses; settings; findings."""

from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.fields import Timestamp
from shared.documents.fields import nullable


def _text(description: str = "", **kwargs: Any) -> fields.String:
    return fields.String(
        required=True, metadata={"description": description} if description else {}, **kwargs
    )


def _number(description: str = "") -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description} if description else {})


def _truth(description: str) -> fields.Boolean:
    return fields.Boolean(required=True, metadata={"description": description})


class StatusWorker(Schema):
    """One worker of the proxy or of the admin API, as it said in the last seconds."""

    id = _text("Random; a worker that replaces another one has an id of its own.")
    plane = _text("proxy or admin.")
    machine = _text("The name of its host.")
    pid = _number("Its process.")
    version = _text()
    started_at = Timestamp("When it started.", required=True)
    state = _text(
        "ok; behind: it lacks a change for over 5 s; degraded: see `trouble`; draining: it will end soon."
    )
    revision = fields.Integer(**nullable("The newest change that it runs. null: none yet."))
    behind = _number("How many changes of the store it does not run yet.")
    in_flight = fields.Integer(**nullable("Open requests. null: not counted by its engine."))
    connections = fields.Integer(**nullable("Open connections of clients. null: not counted by its engine."))
    loop_lag_ms = fields.Float(**nullable("How late its event loop ran last. null: not measured."))
    trouble = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Its parts that are not ok. limits unavailable: it counts limits alone."},
    )


class StatusWorkers(Schema):
    """The workers of all machines. One that ended is gone within 6 s."""

    total = _number("All workers.")
    states = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Workers by state, of at most 1,000."},
    )
    listed = fields.List(
        fields.Nested(StatusWorker),
        required=True,
        metadata={"description": "At most 200: first those behind, degraded and draining; then by machine."},
    )


class StatusMemory(Schema):
    """The memory of Redis."""

    used_bytes = _number()
    max_bytes = fields.Integer(**nullable("Its `maxmemory`. null: none is set."))
    policy = _text("Its `maxmemory-policy`.")


class StatusPersistence(Schema):
    """The persistence of Redis."""

    append_only = _truth("Whether it writes each change (`appendonly`).")
    write_ok = fields.Boolean(**nullable("Whether it wrote the last change. null without `append_only`."))
    snapshot_ok = _truth("Whether it wrote its last snapshot.")
    unsaved_changes = _number("Changes since the last snapshot, counters included.")


class StatusServer(Schema):
    """The server, as its INFO says."""

    name = _text("Its program and version.")
    role = _text("master or slave.")
    replicas = _number("Connected replicas.")
    memory = fields.Nested(StatusMemory, required=True)
    persistence = fields.Nested(StatusPersistence, required=True)


class StatusStore(Schema):
    """The store in use."""

    address = _text()
    mode = _text("embedded or external.")
    id = fields.String(**nullable("The name that the store got once. null: it has none."))
    generation = fields.Integer(**nullable("How often an operator accepted older data."))
    revision = _number("The number of its newest change.")
    tenants = _number()
    faults = _number("Tenants whose stored document cannot be used. `GET /readyz` names them.")
    round_trip_ms = fields.Float(required=True, metadata={"description": "The time of one command."})
    workers_alone = _number(
        "Workers that count limits alone, because Redis does not respond to them in time."
    )
    server = fields.Nested(StatusServer, **nullable("null: INFO is not allowed."))


class StatusJob(Schema):
    """A job that one admin worker of all machines does."""

    name = _text()
    description = _text()
    leader = fields.String(**nullable("The id of the worker. null: none leads now."))
    term = fields.Integer(**nullable("Grows with each new leader. null without a leader."))


class StatusAddresses(Schema):
    """Where the programs of this machine listen, by the settings of the admin API."""

    admin = fields.List(fields.String(), required=True)
    proxy = fields.List(fields.String(), required=True)
    metrics = fields.List(fields.String(), required=True)
    base_domain = _text()


class StatusWarning(Schema):
    """A setting of Redis to change."""

    pointer = _text("JSON pointer to what it is about.")
    detail = _text("The problem, and what to do.")


class StatusOutput(Schema):
    """The status of the platform."""

    version = _text("The version of this process.")
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "As in `GET /readyz`."},
    )
    workers = fields.Nested(StatusWorkers, required=True)
    store = fields.Nested(StatusStore, required=True)
    jobs = fields.List(fields.Nested(StatusJob), required=True)
    addresses = fields.Nested(StatusAddresses, required=True)
    warnings = fields.List(fields.Nested(StatusWarning), required=True)


class SettingOutput(Schema):
    """One setting, as this process of the admin API read it."""

    name = _text()
    value = fields.Raw(
        required=True,
        allow_none=True,
        metadata={"description": "As it was written; a path is absolute. null for a secret."},
    )
    is_set = _truth("Whether there is a value, which may be a default.")
    is_changed = _truth("Whether the value is not the default.")
    is_secret = _truth("Whether the value is withheld.")
    source = _text("default, file, environment or flag.")
    origin = fields.String(**nullable("The line of the file, the variable or the flag."))
    description = _text(attribute="help_text")


class SettingsOutput(Schema):
    """All settings, in the order of config.yaml."""

    settings = fields.List(fields.Nested(SettingOutput), required=True)


class FindingOutput(Schema):
    """The result of a check."""

    check = fields.String(required=True, metadata={"description": "The name of the check."})
    level = fields.String(
        required=True,
        validate=validate.OneOf(["ok", "warning", "error"]),
        metadata={"description": "ok; warning: it should be changed; error: something does not work."},
    )
    detail = fields.String(required=True, metadata={"description": "The result, as a sentence."})
    fix = fields.String(**nullable("A sentence that says what to do. null: nothing."))


class DoctorOutput(Schema):
    """The findings."""

    findings = fields.List(fields.Nested(FindingOutput), required=True)


#: Examples of responses.
STATUS: Final[dict[str, Any]] = {
    "version": "0.1.0",
    "parts": {"store": "ok", "plugins": "ok"},
    "workers": {
        "total": 1,
        "states": {"behind": 0, "degraded": 0, "draining": 0, "ok": 1},
        "listed": [
            {
                "id": "5f0c9e1d7a3b2846",
                "plane": "proxy",
                "machine": "proxy-1",
                "pid": 4711,
                "version": "0.1.0",
                "started_at": "2026-12-01T00:00:00.000Z",
                "state": "ok",
                "revision": 41,
                "behind": 0,
                "in_flight": 12,
                "connections": 40,
                "loop_lag_ms": 0.4,
                "trouble": {},
            }
        ],
    },
    "store": {
        "address": "redis.internal:6379",
        "mode": "external",
        "id": "1f2e3d4c5b6a798897a6b5c4d3e2f100",
        "generation": 1,
        "revision": 41,
        "tenants": 3,
        "faults": 0,
        "round_trip_ms": 0.2,
        "workers_alone": 0,
        "server": {
            "name": "valkey 9.1.2",
            "role": "master",
            "replicas": 1,
            "memory": {"used_bytes": 12_582_912, "max_bytes": 1_073_741_824, "policy": "noeviction"},
            "persistence": {
                "append_only": True,
                "write_ok": True,
                "snapshot_ok": True,
                "unsaved_changes": 120,
            },
        },
    },
    "jobs": [
        {
            "name": "archive",
            "description": "Copies ledgers to files",
            "leader": "9d1e5b7c3a2f4860",
            "term": 7,
        }
    ],
    "addresses": {
        "admin": ["http://127.0.0.1:8080"],
        "proxy": ["http://127.0.0.1:8081"],
        "metrics": ["http://127.0.0.1:9464/metrics", "http://127.0.0.1:9465/metrics"],
        "base_domain": "example.com",
    },
    "warnings": [],
}
SETTINGS: Final[dict[str, Any]] = {
    "settings": [
        {
            "name": "server.admin_port",
            "value": 9080,
            "is_set": True,
            "is_changed": True,
            "is_secret": False,
            "source": "environment",
            "origin": "GATEWAY__SERVER__ADMIN_PORT",
            "description": "Port of the admin API.",
        }
    ]
}
DOCTOR: Final[dict[str, Any]] = {
    "findings": [
        {
            "check": "admin.token",
            "level": "warning",
            "detail": "There is no platform key: each program on this machine has all rights.",
            "fix": "Set GATEWAY_ADMIN_TOKEN.",
        },
        {"check": "redis.latency", "level": "ok", "detail": "Redis responds in 0.2 ms.", "fix": None},
    ]
}
