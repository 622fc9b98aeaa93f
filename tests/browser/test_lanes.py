"""The lanes of a chain show the order in which the proxy runs it."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Self

from admin_app.ui.pages import VERSION
from shared.model.config import Stage
from shared.pipeline.plan import Group, Plan, make_plan
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, ResolvedEntry, Verdict
from tests.support.browser import Dashboard

CHAINS = 200
ORIGINS = ("tier", "required", "tenant", "rule")
Chain = list[dict[str, Any]]

#: The steps of each stage of each chain, by the numbers of the entries.
STEPS = """async ([url, stages, chains]) => {
  const { stepsOf } = await import(url);
  const merges = (name) => name === "merging";
  const items = (chain) => chain.map((entry) => ({ entry, origin: entry.origin }));
  const numbers = (step) => step.items.filter(({ entry }) => entry.enabled).map(({ entry }) => entry.number);
  const lane = (chain, stage) => stepsOf(stage, items(chain), merges).map(numbers).filter((one) => one.length);
  return chains.map((chain) => stages.map((stage) => lane(chain, stage)));
}"""
#: The effect of `move` on the steps of pre_request, for each chain, entry and direction.
MOVES = """async ([steps, moves, chains]) => {
  const { stepsOf } = await import(steps);
  const { move } = await import(moves);
  const merges = (name) => name === "merging";
  const found = [];
  for (const chain of chains) for (const { number } of chain) for (const by of [-1, 1]) {
    const copy = structuredClone(chain).map((entry) => ({ ...entry, stage: "pre_request" }));
    const fixed = copy.filter((entry) => entry.origin !== "rule");
    const model = { chain: copy.filter((entry) => entry.origin === "rule"), merges };
    const item = (entry) => ({ entry, origin: entry.origin });
    model.items = (rule = model.chain) => [...fixed, ...rule].map(item);
    const order = () => stepsOf("pre_request", model.items(), merges)
      .map((step) => step.items.map(({ entry }) => entry.number).sort());
    const entry = model.chain.find((one) => one.number === number);
    if (!entry) continue;
    const before = order();
    const why = move(model, entry, by);
    found.push({ before, after: order(), number, by, why });
  }
  return found;
}"""


class Single(Plugin):
    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    post_request = pre_response = post_response = pre_request


class Merging(Single):
    merges_entries = True

    @classmethod
    def merge(cls, entries: Sequence[ResolvedEntry]) -> Self:
        return cls()


PLUGINS = {"single": Single(), "other": Single(), "merging": Merging()}


def random_chain(random: Random, most: int = 9) -> Chain:
    """Entries in chain order. Few priorities, so that many are the same."""
    chain = []
    for number in range(random.randint(0, most)):
        name = random.choice(list(PLUGINS))
        chain.append(
            {
                "number": number,
                "name": name,
                "origin": random.choice(ORIGINS),
                "stage": random.choice(list(Stage)).value,
                "priority": random.choice((0, 1, 5, 100)),
                "parallel": name != "merging" and random.random() < 0.5,
                "enabled": random.random() < 0.85,
                "mode": random.choice(("enforce", "enforce", "shadow")),
            }
        )
    return sorted(chain, key=lambda entry: ORIGINS.index(entry["origin"]))


def planned(chain: Chain) -> Plan:
    entries = [
        ResolvedEntry(
            plugin=PLUGINS[entry["name"]],
            stage=Stage(entry["stage"]),
            priority=entry["priority"],
            parallel=entry["parallel"],
            on_error="closed",
            timeout=1.0,
            origin=entry["origin"],
            tenant_id="t",
            rule_id=str(entry["number"]),
            is_shadow=entry["mode"] == "shadow",
        )
        for entry in chain
        if entry["enabled"]
    ]
    return make_plan(entries, buffer_streams=True)


def numbers_of(group: Group) -> Iterator[int]:
    for step in (*group.steps, *group.shadows):
        yield from (int(entry.rule_id) for entry in step.entries)


def groups(plan: Plan, stage: Stage) -> list[list[int]]:
    found = plan.groups[stage]
    if stage is Stage.PRE_REQUEST:
        found = (*plan.head, *found)
    return [sorted(numbers_of(group)) for group in found]


def file(name: str) -> str:
    return f"/ui/files/{VERSION}/rule/{name}.js"


def test_lanes_have_the_order_of_the_planner(dashboard: Dashboard) -> None:
    random = Random(97)
    chains = [random_chain(random) for _ in range(CHAINS)]
    page = dashboard.open("/ui/plugins")
    shown = page.evaluate(STEPS, [file("steps"), [stage.value for stage in Stage], chains])
    for chain, lanes in zip(chains, shown, strict=True):
        plan = planned(chain)
        for stage, lane in zip(Stage, lanes, strict=True):
            assert [sorted(step) for step in lane] == groups(plan, stage), (stage, chain)


def test_move_changes_the_order_by_one_step_or_says_why_not(dashboard: Dashboard) -> None:
    random = Random(98)
    chains = [random_chain(random, 6) for _ in range(40)]
    page = dashboard.open("/ui/plugins")
    moves = page.evaluate(MOVES, [file("steps"), file("moves"), chains])
    assert {bool(move["why"]) for move in moves} == {True, False}
    for move in moves:
        before, after, number = move["before"], move["after"], move["number"]
        if move["why"]:
            assert after == before, move
            continue
        place = next(i for i, step in enumerate(before) if number in step)
        others = [[one for one in step if one != number] for step in before]
        gap = place + (move["by"] > 0) + (len(before[place]) == 1) * (1 if move["by"] > 0 else -1)
        others.insert(gap, [number])
        assert after == [step for step in others if step], move
