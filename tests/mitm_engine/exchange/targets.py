"""A policy over scripted upstreams: it tries them in their order, and notes what the engine tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, HeldStep, Hold, Retries
from mitm_engine.options import Options, Policy, Terms, Timeouts
from tests.mitm_engine.world import World, world
from tests.support.ports import free_port
from tests.support.upstream import STREAM, Peer, Script, Upstream, chunk, sized

#: A body that is complete, and one that says nothing yet.
ROLE = b'data: {"role": "assistant"}\n\n'
END = b"0\r\n\r\n"


def event(text: str) -> bytes:
    return b'data: {"text": "%s"}\n\n' % text.encode()


def stream(*texts: str) -> bytes:
    """A whole response in events, which begins with a role."""
    return STREAM + b"".join(chunk(each) for each in (ROLE, *map(event, texts))) + END


def told(text: str) -> Script:
    """Respond to each request with that text as a whole body."""
    return answer(sized(text.encode()))


def answer(data: bytes, then: Script | None = None) -> Script:
    """Respond to each request with these bytes; after the first, do `then`."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.write(data)
            if then is not None:
                await then(peer)

    return script


async def silent(peer: Peer) -> None:
    """Take a request, and say nothing."""
    await peer.request()
    await peer.until_gone()


class Targets:
    """The policy, and the addon that chooses the first target.

    Attributes:
        ports: the targets, in the order in which they are tried.
        told: what the engine told about each attempt.
        pieces: what it showed of held bodies.
        statuses: those after which the next target is tried.
        pause: seconds before the next target.
    """

    statuses = frozenset({429, 500, 503, 529})
    pause = 0.0

    def __init__(self, terms: Terms, hold: Hold | None) -> None:
        self.terms, self.hold = terms, hold
        self.ports: list[int] = []
        self.told: list[AttemptReport] = []
        self.pieces: list[bytes | None] = []
        self.upstreams: list[Upstream] = []
        self._tried: dict[str, int] = {}
        self._seen: dict[str, bytes] = {}

    @property
    def policy(self) -> Policy:
        return Policy(
            terms=lambda _: self.terms,
            retry=lambda flow, attempt: self.retry(flow, attempt),
            holds=lambda flow, attempt: self.holds(flow, attempt),
            held=lambda flow, piece: self.held(flow, piece),
        )

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.request.data.port = self.ports[0]

    def next(self, flow: http.HTTPFlow) -> bool:
        """Point the flow at the next target, if there is one."""
        number = self._tried[flow.id] = self._tried.get(flow.id, 0) + 1
        if number >= len(self.ports):
            return False
        flow.request.data.port = self.ports[number]
        self._seen.pop(flow.id, None)
        return True

    async def retry(self, flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
        self.told.append(replace(attempt))
        if attempt.error is None and attempt.status not in self.statuses:
            return False
        await asyncio.sleep(self.pause)
        return self.next(flow)

    def holds(self, flow: http.HTTPFlow, attempt: AttemptReport) -> Hold | None:
        return self.hold

    def held(self, flow: http.HTTPFlow, piece: bytes | None) -> HeldStep:
        """Commit with the first content; an error, the end and silence are failures."""
        self.pieces.append(piece)
        seen = self._seen[flow.id] = self._seen.get(flow.id, b"") + (piece or b"")
        if b"content" in seen:
            return HeldStep.COMMIT
        if piece and b"error" not in seen:
            return HeldStep.HOLD
        return HeldStep.AGAIN if self.next(flow) else HeldStep.COMMIT

    @property
    def calls(self) -> list[int]:
        """How many requests each target has received."""
        return [len(upstream.received) for upstream in self.upstreams]


@contextlib.asynccontextmanager
async def targets(
    *scripts: Script | None,
    addons: Sequence[object] = (),
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    hold: Hold | None = None,
    options: Options | None = None,
    streams: bool = False,
) -> AsyncIterator[tuple[World, Targets]]:
    """An engine with a policy over targets with these scripts; None is one that refuses connections."""
    terms = Terms(timeouts or Timeouts(), retries=retries or Retries())
    made = Targets(terms, hold)
    async with contextlib.AsyncExitStack() as ends:
        for script in scripts:
            upstream = Upstream(script) if script else None
            if upstream is not None:
                await upstream.start()
                ends.push_async_callback(upstream.stop)
                made.upstreams.append(upstream)
            made.ports.append(upstream.port if upstream else free_port())
        started = world(made, *addons, policy=made.policy, streams=streams, options=options)
        yield await ends.enter_async_context(started), made
