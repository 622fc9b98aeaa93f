"""/status, /settings and /doctor: the state of the platform, its settings, and what to change."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.context import services
from admin_app.doctor.findings import Finding, of_replicas, of_rights, of_settings, of_status
from admin_app.doctor.machine import of_services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from admin_app.jobs.leaders import JOBS
from admin_app.views.health import parts
from shared.core import VERSION
from shared.core.errors import StoreDown
from shared.core.http_tokens import authority
from shared.documents.status import DOCTOR, SETTINGS, STATUS, DoctorOutput, SettingsOutput, StatusOutput
from shared.http.readiness import UNAVAILABLE
from shared.redis_client.server import RightsReader
from shared.settings import Settings
from shared.workers.heartbeat import Heartbeat, WorkerState
from shared.workers.status import Status, StatusReader
from shared.workers.store import Fleet

blueprint = Blueprint("status", __name__, "The state of the platform, and its settings.")

#: The most workers of one response.
MAX_LISTED: Final = 200
# Made once: to make a schema takes longer than to use it.
_STATUS, _SETTINGS, _DOCTOR = StatusOutput(), SettingsOutput(), DoctorOutput()


@blueprint.route("/status")
class PlatformStatus(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getStatus")
    @blueprint.responses(200, StatusOutput, example=STATUS)
    def get(self) -> Response:
        """Read the state of the platform: parts, workers, store, jobs

        While Redis does not respond, the status is 503, and `GET /readyz` tells the state of each part.
        """
        found = parts()
        if found["store"] == UNAVAILABLE:
            raise StoreDown("Redis does not respond.")
        status = _read()
        document = {
            "version": VERSION,
            "parts": found,
            "workers": _workers(status.fleet, 0 if status.state is None else status.state.revision),
            "store": _store(status),
            "jobs": _jobs(status),
            "addresses": _addresses(services().settings),
            "warnings": _warnings(status),
        }
        return response(_STATUS.dump(document))


@blueprint.route("/settings")
class SettingsInForce(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getSettings")
    @blueprint.responses(200, SettingsOutput, example=SETTINGS)
    def get(self) -> Response:
        """Read the settings in force, without secrets

        This process of the admin API read them at its start. Each has its origin: a line of config.yaml, a
        variable or a flag; a default has none.
        """
        return response(_SETTINGS.dump({"settings": services().settings.in_force}))


@blueprint.route("/doctor")
class Doctor(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getDoctor")
    @blueprint.responses(200, DoctorOutput, example=DOCTOR)
    def get(self) -> Response:
        """Check the deployment: settings, store, workers, machine, providers

        Each check has a finding, and one that is not ok has a fix. The providers of the platform are asked
        for their lists of models, which takes some seconds and costs nothing. Files, disk and DNS are those
        of the machine of the admin API.
        """
        own = services()
        status = _read()
        found = [*of_settings(own.settings), *of_status(status, own.clock.now())]
        redis = own.settings.redis
        if not redis.is_local:
            with own.reading(RightsReader) as reader:
                found += of_rights(reader.spare())
        found += [*of_replicas(redis, status.server), *of_services()]
        return response(_DOCTOR.dump({"findings": list(map(Finding._asdict, found))}))


def _read() -> Status:
    own = services()
    with own.reading(StatusReader) as reader:
        return reader.read(tuple(JOBS), own.clock.monotonic)


def _workers(fleet: Fleet, revision: int) -> dict[str, Any]:
    now = services().clock.now()
    states = [(one.state(revision, now), one) for one in fleet.heartbeats]
    counted = Counter(state for state, _ in states)
    urgency = [*WorkerState].index
    states.sort(key=lambda each: (urgency(each[0]), each[1].plane, each[1].machine, each[1].pid))
    return {
        "total": fleet.total,
        "states": {state.value: counted[state] for state in WorkerState},
        "listed": [_worker(one, state, revision) for state, one in states[:MAX_LISTED]],
    }


def _worker(one: Heartbeat, state: WorkerState, revision: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "plane": one.plane.value,
        "machine": one.machine,
        "pid": one.pid,
        "version": one.version,
        "started_at": one.started,
        "state": state.value,
        "revision": one.revision,
        "behind": one.behind(revision),
        "in_flight": one.in_flight,
        "connections": one.connections,
        "loop_lag_ms": None if one.loop_lag is None else round(one.loop_lag * 1000, 1),
        "trouble": one.trouble,
    }


def _store(status: Status) -> dict[str, Any]:
    state, server, address = status.state, status.server, services().address
    return {
        "address": address.name,
        "mode": address.mode,
        "id": state and state.id,
        "generation": state and state.generation,
        "revision": state.revision if state else 0,
        "tenants": status.tenants,
        "faults": status.faults,
        "round_trip_ms": round(status.round_trip * 1000, 2),
        "workers_alone": sum("limits" in one.trouble for one in status.fleet.heartbeats),
        "server": server
        and {
            "name": server.name,
            "role": server.role,
            "replicas": server.replicas,
            "memory": {
                "used_bytes": server.memory.used,
                "max_bytes": server.memory.most,
                "policy": server.memory.policy,
            },
            "persistence": {
                "append_only": server.persistence.append_only,
                "write_ok": server.persistence.write_ok,
                "snapshot_ok": server.persistence.snapshot_ok,
                "unsaved_changes": server.persistence.unsaved,
            },
        },
    }


def _jobs(status: Status) -> Sequence[dict[str, Any]]:
    return [
        {"name": name, "description": text, "leader": lead and lead.name, "term": lead and lead.term}
        for (name, text), lead in zip(JOBS.items(), status.leads, strict=True)
    ]


def _addresses(settings: Settings) -> dict[str, Any]:
    server, metrics = settings.server, settings.metrics
    scheme = "https" if server.tls.files else "http"
    return {
        "admin": [f"http://{authority(host, server.admin_port)}" for host in server.admin_host],
        "proxy": [f"{scheme}://{authority(host, server.proxy_port)}" for host in server.proxy_host],
        "metrics": [f"http://{authority(metrics.host, port)}/metrics" for port in metrics.ports],
        "base_domain": server.base_domain,
    }


def _warnings(status: Status) -> Sequence[dict[str, str]]:
    found = status.server.warnings() if status.server else ()
    return [{"pointer": f"/store/server/{one.part}", "detail": f"{one.reason} {one.fix}"} for one in found]
