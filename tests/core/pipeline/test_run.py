"""What one exchange makes of the verdicts of its plugins."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.core.messages import Exchange, Headers, Response
from shared.core.model import Stage
from shared.core.pipeline import Run, make_plan
from shared.core.plugin import Entry, Patch, Respond, Verdict
from tests.core.pipeline.stagehand import run_loop
from tests.core.pipeline.world import ActingInPlace, entry, exchange


def says(verdict: Verdict) -> Callable[[Exchange], Verdict]:
    return lambda _: verdict


def made(chain: Sequence[Entry], seen: Exchange | None = None) -> Run:
    """The exchange after `pre_request`."""

    async def main() -> Run:
        with ThreadPoolExecutor(2) as pool:
            run = Run(make_plan(chain, buffer_streams=False), seen or exchange(), pool)
            await run.stage(Stage.PRE_REQUEST)
        return run

    return run_loop(main())


def test_the_patches_of_a_group_that_answers_are_dropped() -> None:
    patching = ActingInPlace(says(Patch(set_headers={"X-Changed": "1"})))
    answering = ActingInPlace(says(Respond(Response(200, Headers(), b"cached"))))
    run = made([entry(patching, parallel=True), entry(answering, parallel=True)])
    assert run.responded == Response(200, Headers(), b"cached")
    assert run.exchange == exchange()
