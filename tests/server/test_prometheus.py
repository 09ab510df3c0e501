"""The rules for Prometheus and the Grafana dashboard ask only for what a busy daemon really tells."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT

RULES = ROOT / "etc" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "sluice.json"
BUSY = """
resources:
  chat:
    provider: openai
    price: {input: 1, output: 2}
    limits:
      - {unit: slots, amount: 5, name: concurrency}
      - {unit: tokens, amount: 1000, per: 1h, name: tpm}
      - {unit: usd, amount: 1, per: day, name: daily, warn_at: 50%}
  first: {provider: openai}
  second: {provider: openai, accounts: {a: {rpm: 9}, b: {rpm: 9}}}
routes:
  best: {try: [first, second], finally: cached}
"""
FROM_PROMETHEUS = {"up": {"job": set(), "instance": set()}}


def expressions():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


def exposition(text):
    """Each metric's labels, and the values that each of them has."""
    seen = {name: {} for name in re.findall(r"^# TYPE (\S+) ", text, re.M)}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.M):
        for key, value in re.findall(r'([a-z_]+)="([^"]*)"', labels):
            seen[name].setdefault(key, set()).add(value)
    return seen


def parts(expression):
    """The metrics of an expression with their matchers, and the labels that it groups by."""
    metrics = re.findall(r"\b((?:sluice|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?", expression)
    groups = re.findall(r"by \(([^)]*)\)", expression)
    matchers = [(name, re.findall(r'([a-z_]+)(=~|!=|!~|=)"([^"]*)"', inside)) for name, inside in metrics]
    return matchers, {label.strip() for group in groups for label in group.split(",")}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    from conftest import Daemon

    d = Daemon(tmp_path_factory.mktemp("busy"), BUSY).wait_listening()
    d.release(d.lease(load=300), status=200, usage={"input_tokens": 100, "output_tokens": 20})
    d.acquire(load=5000)
    d.lease(load=100)
    d.lease(load=400)
    d.acquire(load=500, wait_ms=1)
    lease = d.post("/v1/acquire", {"route": "best"}).json["lease"]
    d.release(lease, status=429, headers={"retry-after": "50"})
    d.post("/v1/acquire", {"route": "best"})
    text = d.get("/metrics").text
    assert d.stop() == 0
    return {**exposition(text), **FROM_PROMETHEUS}


@pytest.mark.parametrize("where, expression", [pytest.param(*one, id=one[0]) for one in expressions()])
def test_what_is_asked_for_is_told(seen, where, expression):
    metrics, groups = parts(expression)
    assert metrics, "no metric is asked for"
    known = {"instance"}
    for name, matchers in metrics:
        assert name in seen, f"{where}: no metric {name}"
        labels = set(seen[name])
        known |= labels
        for label, operator, value in matchers:
            assert label in labels, f"{where}: {name} has no label {label}"
            named = set(value.split("|")) if operator == "=~" else {value}
            if operator in ("=", "=~") and "$" not in value and name not in FROM_PROMETHEUS:
                assert named <= seen[name][label], f"{where}: {name} never has {label}={value}"
    assert groups <= known, f"{where}: groups by {groups - known}"


def test_what_summaries_and_legends_name_is_a_label(seen):
    labels = {label for by in seen.values() for label in by} | {"instance"}
    named = re.findall(r"\{\{ *\$labels\.([a-z_]+) *\}\}", RULES.read_text())
    named += re.findall(r"\{\{([a-z_]+)\}\}", DASHBOARD.read_text())
    assert named and set(named) <= labels


def test_a_fallback_is_told_by_route_step_and_reason(seen):
    granted, passed = seen["sluice_route_granted_total"], seen["sluice_route_passed_total"]
    assert granted["route"] == {"best"} and granted["step"] == {"1", "2"} and "best" in passed["route"]
    assert {"paused", "cooling_down", "breaker_open", "day_over", "out_of_money", "budget_exceeded", "context", "deadline", "auth"} <= passed["reason"]
    assert seen["sluice_account_granted_total"]["pool"] == {"second"}


def test_the_panels_of_the_dashboard_do_not_overlap():
    cells = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        area = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & area and max(x for x, _ in area) < 24, panel["title"]
        cells |= area


@pytest.mark.parametrize("arguments", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_finds_nothing_wrong(arguments):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
