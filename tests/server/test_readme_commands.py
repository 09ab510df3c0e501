"""The commands of the README are run as they are written, against a daemon with the configuration they are for."""

import json
import os
import re
import subprocess

import pytest
from conftest import PATIENCE_S, ROOT, binary

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:7411"
OWN = {"lease", "ticket", "expires_ms", "waited_ms"}  # what each run has of its own


def commands():
    """Each block that asks the coordinator, with the answer that is shown below it, or None."""
    found = re.findall(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", README, re.M | re.S)
    asking = [(command, answer) for command, answer in found if re.search("curl |sluice run", command)]
    return [(command, json.loads(answer) if answer else None) for command, answer in asking]


def figures():
    """What the table of figures says to type."""
    section = README[README.index("## Read the figures") : README.index("## When a call fails")]
    return [code for code in re.findall(r"`([^`]*)`", section) if re.match(r"sluice |curl ", code) and "--watch" not in code]


def same(shown, told):
    """Whether an answer is the one shown, but for what each run has of its own."""
    if not isinstance(shown, dict):
        return shown == told
    return list(shown) == list(told) and all(
        type(told[key]) is type(value) if key in OWN else same(value, told[key]) for key, value in shown.items()
    )


@pytest.fixture
def example(daemon, tmp_path):
    """The coordinator of `make run`, on a port and with a store of its own."""
    config = (ROOT / "etc" / "example.yaml").read_text()
    assert f"listen: {ADDRESS}" in config
    return daemon(config, "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store.db"))


def run(daemon, command):
    text = command.replace(ADDRESS, f"127.0.0.1:{daemon.port}")
    text = re.sub(r"^(build/)?sluice ", f"{binary()} ", text, flags=re.M)
    environment = {**os.environ, "SLUICE_URL": daemon.url}
    environment.pop("SLUICE_API_KEY", None)
    done = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_each_command_gets_the_answer_that_is_shown(example):
    leases = {}  # the names that are shown, and those that were given
    for command, shown in commands():
        for name in re.findall(r"ls_\w+", command):
            if name not in leases:
                leases[name] = example.lease("gpt-4o", load=600)
            command = command.replace(name, leases[name])
        said = run(example, command)
        if shown is not None:
            told = json.loads(said)
            assert same(shown, told), f"{command}\nshown {shown}\ntold {told}"
            if "lease" in shown:
                leases[shown["lease"]] = told["lease"]
        else:
            assert said == "my turn\n"


def test_each_figure_can_be_read(example):
    example.release(example.lease("gpt-4o", load=600, tenant="acme"), usage={"prompt_tokens": 310, "completion_tokens": 95})
    for command in figures():
        said = run(example, command)
        assert "gpt-4o" in said or "acme" in said, f"{command}\n{said}"


def test_the_commands_are_found():
    assert [shown is not None for _, shown in commands()].count(True) == README.count("```json") == 3
    assert len(commands()) == 4
    assert len(figures()) == 4


def test_the_command_of_the_page_on_answers_is_taken(example):
    page = (ROOT / "docs" / "feedback.md").read_text()
    (command,) = re.findall(r"^    (curl .*)$", page, re.M)
    told = json.loads(run(example, command.replace("ls_…", example.lease("gpt-4o", load=600))))
    assert told["advice"]["action"] == "retry"
