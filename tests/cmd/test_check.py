"""`sluice check`, `key`, `help` and `version` from outside: what is printed, and exit codes."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))
GOOD = """
listen: [127.0.0.1:0, "unix:sluice.sock"]
resources:
  gpt-4o: {provider: openai, rpm: 500, concurrency: 3}
"""


def sluice(*arguments, stdin=""):
    return subprocess.run(
        [BINARY, *arguments], input=stdin, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "sluice.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_good_file_is_printed_as_a_table(write):
    path = write(GOOD)
    done = sluice("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: good\n")
    assert "127.0.0.1:0, unix:sluice.sock" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("gpt-4o")]
    assert rows == [
        "gpt-4o rpm 500 requests 1m rolling resource wait grant keep".split(),
        "gpt-4o concurrency 3 slots - in flight resource wait - -".split(),
    ]


def examples():
    for page in ("README.md", "docs/configuration.md", "docs/python.md", "docs/routes.md"):
        text = (ROOT / page).read_text()
        for n, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S), 1):
            whole = block if re.search(r"^resources:", block, re.M) else block + "resources: {a: {rpm: 1}}\n"
            yield pytest.param(whole, id=f"{page}:{n}")


@pytest.mark.parametrize("text", examples())
def test_an_example_of_the_pages_is_good(write, text):
    done = sluice("check", write(text))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_problem_of_a_bad_file_is_printed_with_its_line(write):
    path = write("resources:\n  a: {rmp: 5}\n  b: {tpm: many}\n")
    done = sluice("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == f'{path}:2: resources.a: "rmp" is not a key here; did you mean "rpm"?'
    assert second.startswith(f'{path}:3: resources.b.tpm: "many" is not an amount')


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    done = sluice("check", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert done.stderr.endswith("none.yaml: cannot be read: No such file or directory\n")


WRONG = [
    [],
    ["check"],
    ["check", "a", "b"],
    ["check", "--what"],
    ["key", "--name"],
    ["key", "--name", 'a"b'],
    ["key", "x"],
    ["key", "--nam", "x"],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_arguments_are_answered_with_the_usage(arguments):
    done = sluice(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: sluice" in done.stderr


def test_a_new_key_is_printed_once_with_the_line_for_the_configuration(write):
    done = sluice("key", "--name", "ingest", "--tenant", "research")
    assert (done.returncode, done.stderr) == (0, "")
    key = done.stdout.splitlines()[0]
    assert re.fullmatch(r"sk-sluice-[A-Za-z0-9_-]{43}", key)
    assert done.stdout.count(key) == 1
    line = done.stdout.splitlines()[-1]
    assert 'name: "ingest"' in line
    assert 'tenant: "research"' in line
    assert hashlib.sha256(key.encode()).hexdigest() in line
    checked = sluice("check", write(GOOD + "keys:\n" + line + "\n"))
    assert checked.returncode == 0, checked.stderr
    assert re.search(r"^keys +1$", checked.stdout, re.M)


def test_two_keys_are_not_the_same():
    assert sluice("key").stdout != sluice("key").stdout


def test_a_key_from_elsewhere_is_hashed():
    done = sluice("key", "--hash", stdin="abc\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "sha256:" + hashlib.sha256(b"abc").hexdigest() + "\n"


@pytest.mark.parametrize("stdin", ["", "\n", "x" * 5000])
def test_what_cannot_be_a_key_is_not_hashed(stdin):
    done = sluice("key", "--hash", stdin=stdin)
    assert (done.returncode, done.stdout) == (1, "")


def test_an_unknown_command_names_the_nearest():
    done = sluice("chekc")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'did you mean "check"?' in done.stderr
    assert sluice("help", "chekc").stderr == done.stderr


def test_version_and_help():
    assert re.fullmatch(r"sluice \d+\.\d+\.\d+\n", sluice("--version").stdout)
    assert sluice("version").stdout == sluice("-V").stdout
    for arguments in (["--help"], ["help"], ["-h"], ["help", "help"], ["help", "version"]):
        done = sluice(*arguments)
        assert done.returncode == 0
        assert "Usage: sluice COMMAND" in done.stdout


@pytest.mark.parametrize("command", ["serve", "check", "key", "run", "mock"])
def test_every_command_explains_itself_with_examples(command):
    done = sluice("help", command)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: sluice {command}" in done.stdout
    assert "Examples:" in done.stdout
    assert sluice(command, "--help").stdout == done.stdout
    assert command in sluice("help").stdout


def test_the_reference_of_keys_is_that_of_the_documentation():
    done = sluice("help", "config")
    assert done.returncode == 0
    assert done.stdout in (ROOT / "docs" / "configuration.md").read_text()


def test_a_full_disk_is_not_success():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BINARY, "help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "standard output" in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["usage", "--format", "xml"], '--format is table, csv or json, not "xml"'),
        (["usage", "acme"], '"acme" is too much'),
        (["budget", "--give-back", "5", "gpt-4o"], "which RESOURCE and LIMIT?"),
        (["budget", "--give-back", "much", "gpt-4o", "usd/day"], "--give-back takes a number"),
        (["budget", "--give-back", "5", "--reset", "gpt-4o", "usd/day"], "leave out --give-back"),
        (["budget", "gpt-4o", "usd/day"], "only with --give-back or --reset"),
        (["budget", "a", "b", "c"], "too many arguments"),
        (["key", "--nmae", "a"], '"--nmae": there is no such argument'),
        (["key", "--name"], '"--name": a name without quotes is missing'),
    ],
)
def test_what_is_wrong_with_arguments_is_said_before_the_help(arguments, said):
    done = sluice(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[0]
    assert f"Usage: sluice {arguments[0]}" in done.stderr


def test_where_no_coordinator_answers_the_knob_is_named():
    done = sluice("status", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "--url or $SLUICE_URL" in done.stderr
