"""`gw doctor`: one line and one fix per finding."""

from tests.cli.conftest import Shell
from tests.support.ports import free_port


def test_findings_of_both_machines_are_lines(shell: Shell) -> None:
    ended = shell.run("doctor")
    assert ended.code == 1, ended
    lines = {line.split()[1]: line for line in ended.out.splitlines()}
    assert lines["gateway"].split()[0] == "ok"
    assert lines["workers"].split()[0] == "FAIL"
    assert lines["workers"].endswith("Start the proxy: python run_proxy.py")


def test_findings_are_json_and_the_names_of_what_is_wrong(shell: Shell) -> None:
    assert "workers" in shell.run("doctor", "-o", "name").out.split()
    ended = shell.run("doctor", "-o", "json")
    assert '"check": "own clock"' in ended.out


def test_gateway_that_does_not_run_is_the_only_finding(shell: Shell) -> None:
    shell.variables["GW_URL"] = f"http://127.0.0.1:{free_port()}"
    ended = shell.run("doctor")
    assert (ended.code, len(ended.out.splitlines())) == (1, 1)
    assert "Start the gateway" in ended.out
