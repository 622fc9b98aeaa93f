"""The row of the ledger for each request that a model served."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from mitmproxy import http

from mitm_addons.ai.provider_warnings import ProviderWarnings
from mitm_addons.flows import FlowState
from shared.budgets.reservation import Reservation
from shared.model.config import Tenant
from shared.routing.admission import Admitted
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import CompiledTarget
from shared.usage.aggregates import RowTemplate, WaitingRow
from shared.usage.row import LedgerRow, Usage

#: Takes a row, which is written later.
Add = Callable[[WaitingRow], None]
#: Settles with nothing what a request of a tenant has reserved: its lease, and the names of the budgets.
Release = Callable[[str, str, Sequence[str]], None]
#: Notes what a request of a tenant has reserved, before it is settled.
Note = Callable[[Tenant, Reservation], None]


def _note_nothing(tenant: Tenant, reservation: Reservation) -> None:
    """Do nothing: for a process that watches no budgets."""


def _release_nothing(tenant_id: str, lease: str, budgets: Sequence[str]) -> None:
    """Do nothing: for a process without budgets."""


class Ledger:
    """Makes a row when an exchange with a model is over, also one that broke off.

    A response with an error status used nothing, so it has no row, unless a call before it may have.
    """

    def __init__(
        self,
        add: Add,
        random_bytes: Callable[[int], bytes],
        release: Release = _release_nothing,
        note: Note = _note_nothing,
    ) -> None:
        self._add, self._release, self._note = add, release, note
        # Makes ids of rows: half of one is random, and each row has another number.
        self._begin, self._numbers = random_bytes(10).hex(), count()
        #: Warns of the responses that make the rows.
        self.warnings = ProviderWarnings()

    def add(self, flow: http.HTTPFlow, state: FlowState, ai: AiExchange) -> None:
        """Add the row of an exchange that is over and has used something, and settle its budgets."""
        admitted, chosen, usage, resolution = state.admitted, ai.chosen, ai.usage, ai.resolution
        reserved = ai.reservation
        if admitted is None or chosen is None or usage is None or resolution is None:
            if reserved is not None:
                self._release(ai.tenant_id, reserved.id, [hold.name for hold in reserved.holds])
            return
        tenant = admitted.gateway.snapshot.tenant
        counted: Mapping[str, int] = {}
        if reserved is not None:
            counted = reserved.settle(chosen.candidate(resolution.asked), usage, ai.cost)
            self._note(tenant, reserved)
        if ai.meter is not None and ai.meter.reported.is_implausible:
            self.warnings.implausible(chosen.resolved.provider.name, tenant.id, state.over)
        first, started = state.sent.first, state.started
        self._add(
            _template(admitted, chosen, ai, resolution.asked).row(
                {
                    "id": f"{self._begin}{next(self._numbers):012x}" if reserved is None else reserved.id,
                    "time": state.over_at,
                    "request_id": state.request_id,
                    "status": flow.response.data.status_code if flow.response else 0,
                    "stream": state.sent.is_events,
                    "usage": usage,
                    "cost_nano": ai.cost,
                    "rates": {} if ai.rates is None else ai.rates.for_call(usage),
                    "attempts": ai.attempts.number if ai.attempts else 1,
                    "abandoned": ai.abandoned,
                    "duration_ms": int(1000 * (state.over - started) + 0.5),
                    "first_ms": None if first is None else int(1000 * (first - started) + 0.5),
                    "budgets": counted,
                    "is_unreserved": reserved is not None and reserved.is_unreserved,
                }
            )
        )


def _template(admitted: Admitted, chosen: CompiledTarget, ai: AiExchange, asked: str) -> RowTemplate:
    """The template of the rows of one key and one target, with which it is kept."""
    key, provider_key = admitted.key, ai.attempt.key if ai.attempt else None
    key_id, provider_key_id = key.id if key else "", provider_key.id if provider_key else ""
    name = (key_id, provider_key_id, asked, ai.call.api)
    if name in chosen.rows:
        of, template = chosen.rows[name]
        if of is key:
            return template
    row = LedgerRow(
        id="",
        time=0.0,
        request_id="",
        tenant=admitted.gateway.snapshot.tenant.id,
        key=key_id,
        user=(key.user or "") if key else "",
        tags=key.metadata if key else {},
        rule=admitted.route.rule.id,
        provider=chosen.resolved.provider.provider.name,
        provider_key=provider_key_id,
        model_asked=asked,
        model=chosen.resolved.model,
        api=ai.call.api,
        status=0,
        usage=Usage(requests=0),
        cost_nano=None,
    )
    return chosen.rows.keep(name, (key, RowTemplate(row)))[1]
