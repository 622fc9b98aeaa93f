"""`python -m bench.pages`: writes the figures of the last recorded run into the pages, and draws its charts.

The figures of a page stand between two comments. `docs/benchmarks` has the charts and the data.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.bodies import body_table
from bench.charts import Bar, bars, line
from bench.curves import CURVES
from bench.profiler import Function
from bench.report import Round, Table, by_cpu, by_wall, cell, one_connection, over_rounds, target_rows
from bench.results import Results, read_results
from bench.streams import event_table
from bench.targets import targets

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "benchmarks" / "results.json"
#: The pages with figures.
PAGES = (DOCS / "explanation" / "benchmarks.md", DOCS / "how-to" / "sizing.md")
_BLOCK = re.compile(r"(?<=<!-- figures of the last run -->\n).*?(?=<!-- end of the figures -->)", re.DOTALL)
_BASES = ("nginx", "mitmdump", "lua+chain")
_MACHINES, _MACHINE_WORKERS = 100, 8  # of the fleet that is calculated
_KIB, _MIB = 1024, 1024 * 1024
_MAX_FUNCTIONS = 8  # of a profile that a page shows


def charts(results: Results) -> dict[str, str]:
    """The text of each chart, by the name of its file."""
    found = {
        f"{name}.svg": line(
            f"CPU us per request, by {curve.title}",
            f"Express, one core. {curve.title.capitalize()} below, CPU time of the worker per request above.",
            points,
        )
        for name, curve in CURVES.items()
        if (points := _points(results.curves, name))
    }
    lines_of = (
        ("first-request", "ms of the first request of a tenant, p99, by tenants", "cold", 1),
        ("redis", "KiB of Redis per tenant, by tenants", "store", _KIB),
    )
    for name, title, measure, unit in lines_of:
        points = [(int(number), one[measure] / unit) for number, one in results.scale.items()]
        if points:
            found[f"{name}.svg"] = line(title, "Tenants that are stored below.", points)
    bars_of = (
        ("requests", "CPU us per request, all on one core, without mitmproxy's core", results.comparison),
        ("events", "CPU us per event of a stream, all on one core", results.events),
    )
    for name, title, rounds in bars_of:
        if rows := _bars(rounds):
            found[f"{name}.svg"] = bars(title, "Shorter is better.", rows)
    return found


def figures(results: Results) -> dict[Path, str]:
    """The text between the comments of each page."""
    benchmarks, sizing = PAGES
    sizes = [_sizes(results)]
    if results.fleet:
        sizes.append(fleet_tables(results.fleet))
    return {benchmarks: "\n\n".join(_benchmarks(results)) + "\n", sizing: "\n\n".join(sizes) + "\n"}


def with_figures(page: str, text: str) -> str:
    """The page with other figures. Raises ValueError when it has no place for them."""
    if len(_BLOCK.findall(page)) != 1:
        raise ValueError("the page must have the comments around its figures, once")
    return _BLOCK.sub(lambda _: text, page)


def without_figures(page: str) -> str:
    """The part of a page that is written by hand."""
    return _BLOCK.sub("", page)


def write(results: Results) -> None:
    """Write the charts and the figures of the pages. A chart of nothing is removed."""
    for file in DATA.parent.glob("*.svg"):
        file.unlink()
    for name, text in charts(results).items():
        (DATA.parent / name).write_text(text, encoding="utf-8")
    for page, text in figures(results).items():
        page.write_text(with_figures(page.read_text(encoding="utf-8"), text), encoding="utf-8")


def _benchmarks(results: Results) -> Iterator[str]:
    yield f"{results.date}, {results.machine}."
    yield "### The comparison, last run"
    for one in (
        by_wall(results.comparison, _BASES),
        by_cpu(results.comparison, _BASES),
        one_connection(results.comparison, "direct"),
    ):
        yield from (f"{one.title}:", one.markdown())
    yield "![CPU time per request](../benchmarks/requests.svg)"
    yield "### Events of streams, last run"
    yield from (f"{event_table(results.events).title}:", event_table(results.events).markdown())
    yield "![CPU time per event](../benchmarks/events.svg)"
    yield "### Large bodies, last run"
    yield body_table(results.bodies).markdown()
    yield "### Curves, last run"
    drawn = charts(results)
    for name in CURVES:
        if f"{name}.svg" in drawn:
            yield f"![{name}](../benchmarks/{name}.svg)"
    if results.scale:
        yield "### Many tenants, last run"
        yield scale_table(results.scale).markdown()
        yield "![The first request of a tenant](../benchmarks/first-request.svg)"
        yield "![Redis per tenant](../benchmarks/redis.svg)"
    for title, known in results.others.items():
        yield f"### {title}, last run"
        yield target_rows(known).markdown()
    yield "### Targets, last run"
    yield target_rows(targets(results)).markdown()
    for case, found in missed(results).items():
        yield f"Missed by `{case}`. {_profile_line(results, case)}:"
        yield profile_table(found).markdown()


def missed(results: Results) -> dict[str, Sequence[Function]]:
    """The profiles of the cases that miss a target."""
    cases = dict.fromkeys(one.case for one in targets(results) if one.is_missed)
    return {case: results.profiles[case] for case in cases if case in results.profiles}


def _profile_line(results: Results, case: str) -> str:
    calls = results.calls.get(case)
    text = f"{calls:,.0f} function calls. " if calls else ""
    return f"{text}Functions that take the most time by themselves"


def profile_table(functions: Sequence[Function]) -> Table:
    """The functions of a profile, with their shares of the time."""
    rows = [[f"`{one.name}`", f"{one.share:.1%}", f"{one.calls:.2f}"] for one in functions[:_MAX_FUNCTIONS]]
    return Table("Profile", ["function", "share of the time", "calls"], rows)


def _sizes(results: Results) -> str:
    """CPU time of the proxy for each kind of work, and how much of it a core does in a second."""
    work = (
        ("a plain request", results.comparison, "express", "cpu"),
        ("a request with the chain of the benchmark", results.comparison, "express+chain", "cpu"),
        ("a call of a model by a rule for AI", results.comparison, "express+ai", "cpu"),
        ("an event of a stream, plain", results.events, "express", "cpu"),
        ("an event of a stream, searched by a guard", results.events, "express+judged", "cpu"),
        ("an event of a stream of a rule for AI", results.events, "express+ai", "cpu"),
        ("a body of 1 MB, forwarded", results.bodies, "express+large", "1 MB cpu"),
        ("a body of 1 MB, searched by a guard", results.bodies, "express+content", "1 MB cpu"),
    )
    rows = []
    for text, rounds, name, measure in work:
        used = over_rounds(rounds, name, measure)
        rows.append([text, cell(used, 1e3, 3), cell([1 / one for one in used if one])])
    return Table("", ["work", "CPU ms of the proxy", "a second, by one core"], rows).markdown()


def scale_table(found: Round) -> Table:
    """A row per number of tenants."""
    head = [
        "tenants",
        "Redis per tenant, KiB",
        "start of a proxy, s",
        "worker, MiB",
        "first request, p99 ms",
        "request, p99 ms",
        "page of 100, p99 ms",
    ]
    rows = [
        [
            f"{int(number):,}",
            *(f"{value:.1f}" for value in (one["store"] / _KIB, one["start"], one["memory"] / _MIB)),
            *(f"{one[name]:.1f}" for name in ("cold", "warm", "page")),
        ]
        for number, one in found.items()
    ]
    return Table("Tenants", head, rows)


def fleet_tables(costs: Mapping[str, Sequence[float]]) -> str:
    """Tables of the cost of workers and requests for the store, and of a fleet, calculated from it."""
    rows = [[name, f"{commands:.2f}", f"{1e6 * cpu:.1f}"] for name, (commands, cpu) in costs.items()]
    (commands, cpu), *requests = costs.values()
    workers = _MACHINES * _MACHINE_WORKERS
    left = 1 - cpu * workers
    fleet = [
        [
            f"{_MACHINES} idle machines of {_MACHINE_WORKERS} workers",
            f"{commands * workers:,.0f}",
            f"{cpu * workers:.1%}",
        ],
        *(
            [
                f"{name}, with the rest of that core",
                f"{left / one_cpu * one_commands:,.0f}",
                f"{left / one_cpu:,.0f} per second",
            ]
            for name, (one_commands, one_cpu) in zip([*costs][1:], requests, strict=True)
        ),
    ]
    return "\n\n".join(
        (
            Table("", ["work", "commands", "CPU us of Redis"], rows).markdown(),
            Table(
                "", ["a fleet, calculated", "commands per second", "of one core of Redis"], fleet
            ).markdown(),
        )
    )


def _points(rounds: Sequence[Round], curve: str) -> list[tuple[int, float]]:
    names = [name for one in rounds[:1] for name in one if name.startswith(f"{curve}-")]
    found = ((int(name.partition("-")[2]), over_rounds(rounds, name, "cpu")) for name in names)
    return [(number, 1e6 * median(values)) for number, values in sorted(found)]


def _bars(rounds: Sequence[Round]) -> list[Bar]:
    names: Mapping[str, Mapping[str, float]] = rounds[0] if rounds else {}
    return [
        Bar(name, 1e6 * median(values), name.startswith("express"))
        for name in names
        # Beside the bars of mitmproxy's core, all others would be dots.
        if not name.startswith("mitm") and (values := over_rounds(rounds, name, "cpu"))
    ]


def main() -> None:
    """Write the pages again, without a run."""
    write(read_results(DATA))


if __name__ == "__main__":
    main()
