"""sluice status and sluice reopen, against a real coordinator."""

import json
import os
import signal
import subprocess
import urllib.request

import pytest
from conftest import binary


def ask(url, *arguments, **environment):
    return subprocess.run(
        [binary(), *arguments],
        env={**os.environ, "SLUICE_URL": url, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def post(coordinator, path, body):
    request = urllib.request.Request(coordinator.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def rows(output):
    """The tables of an output, each a list of rows by the heads of their columns."""
    tables = []
    for block in output.strip().split("\n\n"):
        head, *lines = block.splitlines()
        tables.append([dict(zip(split(head), split(line), strict=True)) for line in lines])
    return tables


def split(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_status_shows_resources_and_what_is_left_of_their_limits(coordinator):
    post(coordinator, "/v1/acquire", {"resource": "one", "load": 600})
    shown = ask(coordinator.url, "status")
    assert shown.returncode == 0, shown.stderr
    resources, limits = rows(shown.stdout)
    assert [row["RESOURCE"] for row in resources] == ["one", "many"]
    assert resources[0]["STATE"] == "ok" and resources[0]["IN FLIGHT"] == "1" and resources[0]["WAITING"] == "0"
    (tpm,) = [row for row in limits if row["RESOURCE"] == "one" and row["UNIT"] == "tokens"]
    assert (tpm["AMOUNT"], tpm["USED"], tpm["LEFT"]) == ("100000", "600", "99400")


def test_status_shows_one_resource_or_says_that_there_is_none(coordinator):
    resources, limits = rows(ask(coordinator.url, "status", "many").stdout)
    assert [row["RESOURCE"] for row in resources] == ["many"] and {row["RESOURCE"] for row in limits} == {"many"}
    unknown = ask(coordinator.url, "status", "other")
    assert unknown.returncode == 1 and 'no resource "other"' in unknown.stderr and unknown.stdout == ""


ROUTED = """
listen: 127.0.0.1:0
store: {store}
resources:
  large: {{concurrency: 1}}
  claude: {{accounts: {{a: {{rpm: 9}}, b: {{rpm: 9}}}}}}
  apart: {{rpm: 9}}
routes:
  chat: {{try: [large, claude]}}
"""


def test_status_shows_routes_and_why_their_resources_were_passed_over(start_coordinator):
    coordinator = start_coordinator(ROUTED)
    for _ in range(4):
        post(coordinator, "/v1/acquire", {"route": "chat", "wait_ms": 0})
    _, _, routes, steps, passed = rows(ask(coordinator.url, "status").stdout)
    assert [row["ROUTE"] for row in routes] == ["claude", "chat"]
    chat = routes[1]
    assert (chat["WAITING"], chat["FALLBACKS"], chat["EXHAUSTED"]) == ("0", "0", "0")
    assert passed == [{"ROUTE": "chat", "PASSED OVER": "deadline", "TIMES": "3"}]
    shown = [(row["STEP"], row["RESOURCE"], row["GRANTED"], row["SHARE"]) for row in steps if row["ROUTE"] == "chat"]
    assert shown == [("1", "large", "1", "25%"), ("2", "claude@a", "2", "50%"), ("2", "claude@b", "1", "25%")]
    assert [row["SHARE"] for row in steps if row["ROUTE"] == "claude"] == ["-", "-"]


def test_status_shows_one_route_with_its_resources(start_coordinator):
    coordinator = start_coordinator(ROUTED)
    resources, limits, routes, steps = rows(ask(coordinator.url, "status", "chat").stdout)
    assert [row["RESOURCE"] for row in resources] == ["large", "claude@a", "claude@b"]
    assert [row["ROUTE"] for row in routes] == ["chat"] and {row["ROUTE"] for row in steps} == {"chat"}
    resources, _, routes, _ = rows(ask(coordinator.url, "status", "large").stdout)
    assert [row["RESOURCE"] for row in resources] == ["large"] and [row["ROUTE"] for row in routes] == ["chat"]
    resources, limits = rows(ask(coordinator.url, "status", "apart").stdout)
    assert [row["RESOURCE"] for row in resources] == ["apart"]


def test_status_gives_the_answer_itself_as_json(coordinator):
    shown = ask(coordinator.url, "status", "--json")
    assert [one["resource"] for one in json.loads(shown.stdout)["resources"]] == ["one", "many"]


def test_a_closed_resource_is_shown_with_why_and_reopened(coordinator):
    lease = post(coordinator, "/v1/acquire", {"resource": "one"})["lease"]
    post(coordinator, "/v1/release", {"lease": lease, "status": 429, "headers": {"retry-after": "100"}})
    resources, _ = rows(ask(coordinator.url, "status", "one").stdout)
    assert resources[0]["STATE"].startswith("paused 1m") and resources[0]["STATE"].endswith("(wait)")
    reopened = ask(coordinator.url, "reopen", "one")
    assert (reopened.returncode, reopened.stdout) == (0, "ok\n"), reopened.stderr
    resources, _ = rows(ask(coordinator.url, "status", "one").stdout)
    assert resources[0]["STATE"] == "ok"


@pytest.mark.parametrize("name", ["other", "a/b c", "%"])
def test_what_is_not_there_cannot_be_reopened(coordinator, name):
    refused = ask(coordinator.url, "reopen", name)
    assert refused.returncode == 1 and "unknown_resource" in refused.stderr


def test_watch_shows_it_again_until_it_is_ended(coordinator):
    watching = subprocess.Popen([binary(), "status", "--watch", "--url", coordinator.url], stdout=subprocess.PIPE, text=True)
    heads = 0
    for line in watching.stdout:
        heads += line.startswith("RESOURCE  STATE")
        if heads == 2:
            break
    watching.send_signal(signal.SIGTERM)
    watching.communicate(timeout=20)
    assert heads == 2 and watching.returncode == -signal.SIGTERM


@pytest.mark.parametrize("arguments", [["status", "a", "b"], ["status", "--json", "--watch"], ["reopen"], ["reopen", "a", "b"]])
def test_wrong_arguments_are_told_the_usage(arguments):
    told = ask("http://127.0.0.1:1", *arguments)
    assert told.returncode == 2 and "Usage: sluice " + arguments[0] in told.stderr


@pytest.mark.parametrize("arguments", [["status"], ["reopen", "one"]])
def test_without_a_coordinator_it_is_said_so(arguments):
    told = ask("http://127.0.0.1:1", *arguments)
    assert told.returncode == 1 and "the coordinator at http://127.0.0.1:1" in told.stderr
