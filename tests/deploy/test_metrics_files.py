"""The dashboard and the alerts name metrics and labels that exist."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.metrics.names import FAMILIES, HISTOGRAM
from tests.deploy.conftest import SERVICES
from tests.support.commands import run_command
from tests.support.gateway import ROOT
from tests.support.packages import need_command

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/gateway.json").read_text())
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
RULES = [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]
EXPRESSIONS = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())),
    *(one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"),
]
SAMPLES = {
    name: family
    for family in FAMILIES
    for name in (
        [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
        if family.kind == HISTOGRAM
        else [family.name]
    )
}
#: Labels of Prometheus itself.
OTHERS = {"le", "instance", "job"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    found = re.findall(r"\b(gateway_\w+)", expression)
    assert found
    assert set(found) <= set(SAMPLES)
    known = OTHERS.union(*(SAMPLES[name].labels for name in found))
    used = re.findall(r"by \(([^)]*)\)|label_values\(\w+, (\w+)\)", expression)
    labels = {label.strip() for groups in used for group in groups for label in group.split(",")} - {""}
    labels |= set(
        re.findall(r"[{,](\w+)=~?\"|[{,](\w+)!=", expression.replace(", ", ","))
        and [
            one
            for pair in re.findall(r"[{,](\w+)=~?\"|[{,](\w+)!=", expression.replace(", ", ","))
            for one in pair
            if one
        ]
    )
    assert labels <= known


def test_dashboard_shows_every_metric() -> None:
    named = {SAMPLES[name] for text in EXPRESSIONS for name in re.findall(r"\b(gateway_\w+)", text)}
    assert set(FAMILIES) - named == set()


def test_every_alert_has_a_severity_a_summary_and_advice() -> None:
    advice = (ROOT / "docs/how-to/metrics.md").read_text()
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        assert f"| `{rule['alert']}` |" in advice


def test_compose_starts_prometheus_and_grafana_with_these_files() -> None:
    for name in ("prometheus", "grafana"):
        assert SERVICES[name]["profiles"] == ["metrics"]
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
        for volume in SERVICES[name]["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()
    scraped = YAML(typ="safe").load(ROOT / "deploy/prometheus/prometheus.yaml")["scrape_configs"]
    assert scraped[0]["static_configs"][0]["targets"] == ["proxy:9464", "admin:9465"]


@pytest.mark.slow
def test_promtool_finds_no_fault_in_rules_and_configuration() -> None:
    promtool = need_command("promtool", "prometheus")
    ended = run_command(promtool, "check", "rules", ALERTS)
    assert (ended.returncode, f"SUCCESS: {len(RULES)} rules" in ended.stdout) == (0, True), ended.stderr
