"""The state of the platform: of its store, of the workers of all machines, and of the leaders of jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis, ResponseError

from shared.config_store import layout
from shared.config_store.client import ask_state
from shared.config_store.identity import StoreState
from shared.config_store.leader import Lead, read_leads
from shared.redis_client.server import Server
from shared.workers.store import Fleet, HeartbeatStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of the platform, as Redis has it.

    Attributes:
        state: the identity of the store and its newest change; None: it has no identity.
        tenants: the number of tenants.
        faults: the number of tenants whose stored document cannot be used.
        server: the server; None if it does not allow INFO.
        round_trip: seconds that one command takes.
        fleet: the workers that live.
        leads: who leads each job that was asked for.
    """

    state: StoreState | None
    tenants: int
    faults: int
    server: Server | None
    round_trip: float
    fleet: Fleet
    leads: Sequence[Lead | None]


class StatusReader:
    """Reads the status. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._heartbeats = HeartbeatStore(client)

    def read(self, jobs: Sequence[str], monotonic: Callable[[], float]) -> Status:
        """The status now, with the leads of these jobs."""
        self._client.ping()  # connects
        began = monotonic()
        self._client.ping()
        round_trip = monotonic() - began
        with self._client.pipeline(transaction=False) as pipeline:
            ask_state(pipeline).zcard(layout.ORDER).hlen(layout.FAULTS)
            identity, revision, tenants, faults = pipeline.execute()
        return Status(
            state=StoreState.parse(identity, revision),
            tenants=tenants,
            faults=faults,
            server=self._server(),
            round_trip=round_trip,
            fleet=self._heartbeats.read(),
            leads=read_leads(self._client, jobs),
        )

    def _server(self) -> Server | None:
        """The server, or one node of a Cluster; None if it does not allow INFO."""
        try:
            info: Any = self._client.info()
        except ResponseError:
            return None
        return Server.parse(info)
