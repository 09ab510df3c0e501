"""`sluice prices` from outside: what a model costs, and tables made from what others publish."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))
SAMPLES = ROOT / "tests" / "price" / "import"


def prices(*arguments):
    return subprocess.run([BINARY, "prices", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)


def test_a_model_is_shown_with_its_units_prices_and_source():
    done = prices("--provider", "anthropic", "claude-sonnet-4-5-20250929")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "claude-sonnet-4-5 of anthropic, a context of 1000000 tokens"
    assert lines[2].split() == ["UNIT", "USD/M", "ABOVE", "200k", "SOURCE"]
    rows = {line.split()[0]: line.split(maxsplit=3)[1:] for line in lines[3:]}
    assert rows["input"] == ["3", "6", "genai-prices, November 2026"]
    assert rows["cached_input"][:2] == ["0.3", "0.6"] and rows["cache_write_1h"][:2] == ["6", "12"]
    assert rows["output"][:2] == ["15", "22.5"]


def test_what_is_not_given_is_said_to_be_filled_in():
    line = next(line for line in prices("gpt-4o").stdout.splitlines() if line.startswith("cache_write "))
    assert line.split(maxsplit=2)[1:] == ["2.5", "not given, so as much as what is near it"]


def test_an_unknown_model_is_answered_with_the_nearest():
    done = prices("gtp-4o")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'sluice prices: no price of "gtp-4o" is known; did you mean "gpt-4o"?\n'


def test_a_model_with_several_prices_wants_a_provider():
    done = prices("gpt-oss-120b")
    assert done.returncode == 1 and "name one, as in cerebras/gpt-oss-120b" in done.stderr
    assert prices("cerebras/gpt-oss-120b").returncode == 0
    assert prices("--provider", "cerebras", "gpt-oss-120b").returncode == 0


@pytest.mark.parametrize(
    "arguments", [(), ("--provider",), ("--colour", "x"), ("a", "b"), ("import",), ("import", "-o"), ("import", "a", "b")]
)
def test_wrong_arguments_are_answered_with_the_usage(arguments):
    done = prices(*arguments)
    assert (done.returncode, done.stdout) == (2, "") and "Usage: sluice prices" in done.stderr


@pytest.mark.parametrize("sample, model, price", [("genai.json", "acme/plain", "0.003625"), ("litellm.json", "groq/acme/small", "0.2")])
def test_an_imported_table_serves(tmp_path, sample, model, price):
    table = tmp_path / "prices.csv"
    done = prices("import", SAMPLES / sample, "-o", table)
    assert (done.returncode, done.stdout) == (0, "") and "models; left out:" in done.stderr
    assert list(tmp_path.iterdir()) == [table]
    assert prices("import", SAMPLES / sample).stdout == table.read_text()
    shown = prices("--table", table, model)
    assert shown.returncode == 0 and f"input           {price} " in shown.stdout
    assert str(table) in shown.stdout
    config = tmp_path / "sluice.yaml"
    config.write_text(f"prices: {table}\nresources: {{a: {{model: {model}, limits: [{{unit: usd, amount: 1, per: day}}]}}}}\n")
    checked = subprocess.run([BINARY, "check", config], capture_output=True, text=True, timeout=30, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_cannot_be_imported_is_named_and_the_old_table_stays(tmp_path):
    table, bad = tmp_path / "prices.csv", tmp_path / "bad.json"
    table.write_text("old")
    bad.write_text(json.dumps({"m": {"litellm_provider": "openai", "input_cost_per_token": -1}}))
    done = prices("import", bad, "-o", table)
    assert done.returncode == 1 and table.read_text() == "old"
    assert done.stderr == f"{bad}: model m of openai: input_cost_per_token: not a price\n"
    bad.write_text('{\n "m": }\n')
    assert prices("import", bad).stderr.startswith(f"{bad}: line 2: ")
    assert prices("import", tmp_path / "none").stderr == f"sluice prices: {tmp_path}/none: No such file or directory\n"


def test_a_wrong_table_is_named_with_its_line(tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text("provider,model,input\na,b,cheap\n")
    done = prices("--table", table, "b")
    assert done.returncode == 1
    assert done.stderr == f'{table}: line 2: input: "cheap" is not a price in USD per million tokens\n'


def test_the_build_takes_exact_prices_only(tmp_path):
    table = tmp_path / "prices.csv"
    for row, problem in [
        ("a,b,0.0000001", ":2: input: '0.0000001'"),
        ("a,b,x", ":2: input: 'x'"),
        ("a,b,1\na,b,1", ":3: b of a is there twice"),
    ]:
        table.write_text(f"provider,model,input\n{row}\n")
        done = subprocess.run(
            [ROOT / "tools" / "prices.py", table, tmp_path / "out.c"], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1 and done.stderr.startswith(f"{table}{problem}"), done.stderr
