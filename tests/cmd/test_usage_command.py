"""sluice usage and sluice budget, against a real coordinator with a store."""

import csv
import io
import json
import os
import re
import subprocess
import urllib.request

import pytest
from conftest import binary

CONFIG = """
listen: 127.0.0.1:0
store: {store}
resources:
  one:
    price: given
    limits:
      - {{unit: usd, amount: 10, per: day, name: daily}}
      - {{unit: usd, amount: 5, per: lifetime, scope: tenant, name: each}}
      - {{unit: tokens, amount: 1000, per: 1h, name: tpm}}
"""


@pytest.fixture
def kept(tmp_path):
    """A coordinator that keeps a ledger: its URL."""
    path = tmp_path / "sluice.yaml"
    path.write_text(CONFIG.format(store=tmp_path / "sluice.db"))
    process = subprocess.Popen([binary(), "serve", "-c", str(path)], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
            break
    yield f"http://{found.group(1)}"
    process.terminate()
    process.communicate(timeout=20)


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def spend(url, usd, **fields):
    lease = post(url, "/v1/acquire", {"resource": "one", "load": {"tokens": 10, "usd": usd}, **fields})["lease"]
    post(url, "/v1/release", {"lease": lease, "usage": {"input_tokens": 7, "output_tokens": 3, "usd": usd}})


def ask(url, *arguments):
    return subprocess.run([binary(), *arguments], env={**os.environ, "SLUICE_URL": url}, capture_output=True, text=True, timeout=30)


def cells(output):
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in output.splitlines()]


def test_usage_is_a_table_of_sums(kept):
    spend(kept, 0.5, tenant="acme")
    spend(kept, 0.000000000001, tenant="acme")
    spend(kept, 1)
    shown = ask(kept, "usage", "--by", "tenant", "--since", "24h")
    assert shown.returncode == 0, shown.stderr
    head, nobody, acme = cells(shown.stdout)
    assert head[0] == "KEY" and nobody[0] == "-" and acme[0] == "acme"
    assert acme[head.index("CALLS")] == "2" and acme[head.index("COST USD")] == "0.500000000001"


def test_sums_are_exact_however_large(kept):
    leases = [post(kept, "/v1/acquire", {"resource": "one", "load": {"tokens": 10, "usd": 0.25}})["lease"] for _ in range(12)]
    for lease, usd in zip(leases, ["1000000"] * 11 + ["0.000000000001"], strict=True):
        body = f'{{"lease": "{lease}", "usage": {{"usd": {usd}}}}}'.encode()
        urllib.request.urlopen(urllib.request.Request(kept + "/v1/release", body, {"Content-Type": "application/json"}), timeout=20)
    for form in ("table", "csv", "json"):
        shown = ask(kept, "usage", "--format", form)
        assert "11000000.000000000001" in shown.stdout, shown.stdout + shown.stderr


def test_usage_is_csv_for_a_spreadsheet(kept):
    spend(kept, 0.25, tenant='a "b", c')
    shown = ask(kept, "usage", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(shown.stdout))
    assert row["tenant"] == 'a "b", c' and row["cost_usd"] == "0.25" and row["tokens"] == "10"


def test_usage_is_json_a_row_a_line_and_narrowed_by_names(kept):
    spend(kept, 0.25, tenant="a", labels={"team": "red"})
    spend(kept, 0.5, tenant="b")
    shown = ask(kept, "usage", "--by", "label:team", "--tenant", "a", "-f", "json")
    (row,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert row["key"] == "red" and row["cost_usd"] == 0.25


def test_a_question_that_makes_no_sense_is_refused_in_the_coordinators_words(kept):
    shown = ask(kept, "usage", "--by", "colour")
    assert shown.returncode == 1 and "`by` must be" in shown.stderr and shown.stdout == ""


def test_budgets_are_shown_with_what_is_left(kept):
    spend(kept, 2, tenant="acme")
    head, *rows = cells(ask(kept, "budget").stdout)
    budgets = {row[head.index("LIMIT")]: row for row in rows}
    assert set(budgets) == {"daily", "each"}
    assert budgets["daily"][head.index("LEFT")] == "8" and budgets["each"][head.index("LEFT")] == "-"
    head, *rows = cells(ask(kept, "budget", "--key", "acme", "one").stdout)
    budgets = {row[head.index("LIMIT")]: row for row in rows}
    assert budgets["each"][head.index("WHOSE")] == "acme" and budgets["each"][head.index("USED")] == "2"


def test_a_budget_is_given_back_and_reset(kept):
    spend(kept, 2, tenant="acme")
    given = ask(kept, "budget", "--give-back", "0.5", "one", "daily")
    assert given.returncode == 0 and json.loads(given.stdout)["used"] == 1.5
    given = ask(kept, "budget", "--reset", "--key", "acme", "one", "each")
    assert json.loads(given.stdout)["used"] == 0
    assert ask(kept, "budget", "--reset", "one", "tpm").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "--format", "xml"],
        ["usage", "something"],
        ["usage", "--no-such"],
        ["budget", "one", "daily"],
        ["budget", "--reset", "one"],
        ["budget", "--reset", "--give-back", "1", "one", "daily"],
        ["budget", "--give-back", "five", "one", "daily"],
        ["budget", "--give-back", '1,"x":2', "one", "daily"],
    ],
)
def test_wrong_arguments_are_told_apart_from_failures(arguments):
    shown = ask("http://127.0.0.1:9", *arguments)
    assert shown.returncode == 2 and "Usage: sluice" in shown.stderr


def test_each_command_has_a_help_with_examples():
    for command in ("usage", "budget"):
        shown = ask("http://127.0.0.1:9", "help", command)
        assert shown.returncode == 0 and "Examples:" in shown.stdout
