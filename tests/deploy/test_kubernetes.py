"""The manifests of deploy/kubernetes: valid, complete, and with settings, commands and paths that exist."""

import json
import re
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.core.durations import parse_duration
from shared.http.readiness import HEALTH, READY
from shared.metrics.names import FAMILIES
from shared.settings import Settings, load_settings
from tests.deploy.conftest import SERVICES
from tests.support.commands import run_command
from tests.support.gateway import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
HA = FOLDER / "overlays" / "ha"
PROGRAMS = ["admin", "proxy"]
#: Values of the keys of the secret, which an operator makes.
SECRET = {
    "admin-token": "a-long-token-of-the-platform",
    "metrics-token": "another-long-token",
    "redis-url-admin": "rediss://gateway-admin:x@redis.internal:6379",
    "redis-url-proxy": "rediss://gateway-proxy:x@redis.internal:6379",
}
VALIDATE = "kubernetes-validate==1.37.0"

Thing = dict[str, Any]


def read(file: Path) -> Iterator[Thing]:
    yield from YAML(typ="safe").load_all(file)


def files(folder: Path) -> Iterator[Path]:
    """The files that a kustomization lists, and those of the folders that it lists."""
    [kustomization] = read(folder / "kustomization.yaml")
    assert kustomization["namespace"] == "ai-gateway"
    for name in kustomization["resources"]:
        found = (folder / name).resolve()
        if found.is_dir():
            yield from files(found)
        else:
            yield found


THINGS = [thing for file in files(HA) for thing in read(file)]


def named(kind: str, name: str) -> Thing:
    [found] = [one for one in THINGS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def deployment(program: str) -> Thing:
    return named("Deployment", f"ai-gateway-{program}")


def pod(program: str) -> Thing:
    found: Thing = deployment(program)["spec"]["template"]["spec"]
    return found


def container(program: str) -> Thing:
    [found] = pod(program)["containers"]
    return dict(found)


def environment(program: str) -> dict[str, str]:
    """The variables that the program gets."""
    found = dict(named("ConfigMap", "ai-gateway")["data"])
    for one in container(program)["env"]:
        chosen = one.get("valueFrom", {}).get("secretKeyRef")
        assert chosen is None or chosen["name"] == "ai-gateway"
        found[one["name"]] = SECRET[chosen["key"]] if chosen else one["value"]
    return found


def settings(program: str) -> Settings:
    return load_settings(environ=environment(program))


def test_every_file_is_listed_once() -> None:
    listed = [*files(HA)]
    assert len({*listed}) == len(listed)
    assert {*listed} == {file for file in FOLDER.rglob("*.yaml") if file.name != "kustomization.yaml"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_variables_are_settings_that_the_program_takes(program: str) -> None:
    found = settings(program)
    assert found.redis.mode == "external"
    host, hosts = getattr(found.server, f"is_{program}_local"), getattr(found.server, f"{program}_host")
    assert (host, hosts) == (False, ("0.0.0.0",))
    mounts = {one["name"]: one["mountPath"] for one in container(program)["volumeMounts"]}
    [secret] = [one["secret"] for one in pod(program)["volumes"] if "secret" in one]
    kept = {f"{mounts['secrets']}/{one['path']}" for one in secret["items"]}
    assert kept == {str(found.security.pepper_file), str(found.security.key_file)}
    assert mounts["data"] in (ROOT / "Dockerfile").read_text()


def test_only_the_admin_api_has_the_token_of_the_platform() -> None:
    assert [program for program in PROGRAMS if "GATEWAY_ADMIN_TOKEN" in environment(program)] == ["admin"]


def test_proxies_have_as_many_workers_as_cpus() -> None:
    assert str(settings("proxy").server.workers) == container("proxy")["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_container_runs_the_command_of_the_image(program: str) -> None:
    command = container(program)["command"]
    assert command == SERVICES[program]["command"]
    if program == "proxy":
        assert f"CMD {json.dumps(command)}" in (ROOT / "Dockerfile").read_text()
    [image] = next(iter(read(FOLDER / "base" / "kustomization.yaml")))["images"]
    assert container(program)["image"] == image["name"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_probes_and_services_lead_to_ports_and_paths_that_exist(program: str) -> None:
    box, found = container(program), settings(program)
    ports = {one["name"]: one["containerPort"] for one in box["ports"]}
    metrics = found.metrics.port if program == "proxy" else found.metrics.admin_api_port
    assert ports == {"http": getattr(found.server, f"{program}_port"), "metrics": metrics}
    paths = {"startupProbe": HEALTH, "livenessProbe": HEALTH, "readinessProbe": READY}
    assert {name: box[name]["httpGet"] for name in paths} == {
        name: {"path": path, "port": "http"} for name, path in paths.items()
    }
    service = named("Service", f"ai-gateway-{program}")["spec"]
    assert service["selector"] == deployment(program)["spec"]["template"]["metadata"]["labels"]
    assert {one["targetPort"]: one["port"] for one in service["ports"]} == ports
    if program == "proxy":
        assert "ai-gateway-proxy" in found.server.shared_hosts


@pytest.mark.parametrize("program", PROGRAMS)
def test_open_calls_may_complete_before_a_pod_is_killed(program: str) -> None:
    box = container(program)
    command, seconds = box["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    drain = settings(program).server.drain_timeout
    assert pod(program)["terminationGracePeriodSeconds"] >= int(seconds) + drain + 10
    assert deployment(program)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_pod_has_no_right_that_it_does_not_use(program: str) -> None:
    [user] = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    found = pod(program)["securityContext"]
    assert (str(found["runAsUser"]), str(found["runAsGroup"]), found["runAsNonRoot"]) == (*user, True)
    assert found["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(program)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(program)["automountServiceAccountToken"] is False


def test_overlay_concerns_deployments_and_metrics_that_exist() -> None:
    [kustomization] = read(HA / "kustomization.yaml")
    counts = {one["name"]: one["count"] for one in kustomization["replicas"]}
    assert counts == {"ai-gateway-admin": 2, "ai-gateway-proxy": 3}
    for program in PROGRAMS:
        labels = deployment(program)["spec"]["selector"]["matchLabels"]
        budget = named("PodDisruptionBudget", f"ai-gateway-{program}")["spec"]
        assert budget["selector"]["matchLabels"] == labels
        assert budget["minAvailable"] < counts[f"ai-gateway-{program}"]
        policy = named("NetworkPolicy", f"ai-gateway-{program}")["spec"]
        assert policy["podSelector"]["matchLabels"] == labels
    scaler = named("HorizontalPodAutoscaler", "ai-gateway-proxy")["spec"]
    assert scaler["minReplicas"] == counts["ai-gateway-proxy"]
    [metric] = [one["pods"]["metric"]["name"] for one in scaler["metrics"] if one["type"] == "Pods"]
    assert metric in {family.name for family in FAMILIES}
    [endpoint] = named("ServiceMonitor", "ai-gateway")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"]["key"] in SECRET
    assert parse_duration(endpoint["interval"])


def test_network_policies_let_nobody_else_to_the_admin_api() -> None:
    ingress = named("NetworkPolicy", "ai-gateway-admin")["spec"]["ingress"]
    assert [rule["from"] for rule in ingress if {"port": 8080} in rule["ports"]] == [[{"podSelector": {}}]]
    for program in PROGRAMS:
        for rule in named("NetworkPolicy", f"ai-gateway-{program}")["spec"]["egress"]:
            if {"port": 443} in rule["ports"]:
                assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


@pytest.mark.slow
def test_manifests_fit_the_schemas_of_kubernetes() -> None:
    """By kubernetes-validate, which has the schemas in it. It has none for the resource of an operator."""
    folder = ROOT / "build" / "kubernetes-validate"
    command = folder / "bin" / "kubernetes-validate"
    if not command.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", VALIDATE], check=True)
    checked = [file for file in files(HA) if file.name != "service-monitor.yaml"]
    ended = run_command(command, "--strict", *checked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
