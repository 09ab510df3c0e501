"""`sluice run` from outside: a command under a lease of a real coordinator."""

import signal
import subprocess
import time

import pytest
from conftest import CONFIG


def started(process):
    """Waits until the command says that it runs."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line


def wait_until(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_load_is_settled_when_the_command_has_ended(coordinator, run):
    done = run("-r", "many", "-l", "300", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    assert coordinator.leases() == []
    assert coordinator.resource("many")["settled"] == 1
    assert coordinator.resource("many")["used"]["tokens"] == 300


def test_the_lease_is_held_until_the_command_ends(coordinator, run):
    process = run.start("-r", "many", "--", "sh", "-c", "echo up; exec sleep 60")
    started(process)
    assert len(coordinator.leases()) == 1
    process.terminate()
    process.communicate(timeout=20)
    assert coordinator.leases() == []


def test_the_command_knows_its_lease(coordinator, run):
    script = "echo $SLUICE_RESOURCE $SLUICE_LEASE; exec sleep 60"
    process = run.start("-r", "many", "--", "sh", "-c", script)
    resource, lease = started(process).split()
    assert resource == "many"
    assert [one["lease"] for one in coordinator.leases()] == [lease]
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_passed_on(run, code):
    assert run("-r", "many", "--", "sh", "-c", f"exit {code}").returncode == code


def test_a_command_that_a_signal_ends_is_128_and_the_signal(run):
    assert run("-r", "many", "--", "sh", "-c", "kill -KILL $$").returncode == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(coordinator, run, number):
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 5' {name}; echo up; while :; do sleep 0.05; done"
    process = run.start("-r", "many", "--", "sh", "-c", script)
    started(process)
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (5, "caught\n"), error
    assert coordinator.leases() == []


def test_the_arguments_are_the_commands_own(run):
    done = run("-r", "many", "printf", "%s-%s", "-r", "--help")
    assert (done.returncode, done.stdout) == (0, "-r---help")


def test_standard_input_is_the_commands(run):
    process = run.start("-r", "many", "cat", stdin="pipe")
    out, error = process.communicate("text", timeout=20)
    assert (process.returncode, out) == (0, "text"), error


def test_a_second_run_waits_for_the_first(coordinator, run):
    first = run.start("-r", "one", "--", "sh", "-c", "echo up; exec sleep 60")
    started(first)
    second = run.start("-r", "one", "--", "echo", "done")
    wait_until(lambda: coordinator.resource("one")["line"]["waiting"] == 1)
    assert second.poll() is None
    first.terminate()
    first.communicate(timeout=20)
    out, error = second.communicate(timeout=20)
    assert (second.returncode, out) == (0, "done\n"), error


def test_in_line_it_outlives_a_restart_of_the_coordinator(start_coordinator, run_at, tmp_path):
    socket = f"unix:{tmp_path}/socket"
    config = CONFIG.replace("127.0.0.1:0", f"[127.0.0.1:0, '{socket}']")
    run = run_at(socket)
    before = start_coordinator(config)
    holder = run.start("-r", "one", "--", "sh", "-c", "echo up; exec sleep 60")
    started(holder)
    waiting = run.start("-r", "one", "--", "echo", "ran")
    wait_until(lambda: before.resource("one")["line"]["waiting"] == 1)
    before.process.terminate()
    before.process.wait(timeout=20)
    start_coordinator(config)
    out, error = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, "ran\n"), error
    holder.terminate()
    holder.communicate(timeout=20)


def test_ending_while_in_line_leaves_the_line(coordinator, run):
    first = run.start("-r", "one", "--", "sh", "-c", "echo up; exec sleep 60")
    started(first)
    second = run.start("-r", "one", "--", "echo", "done")
    wait_until(lambda: coordinator.resource("one")["line"]["waiting"] == 1)
    second.terminate()
    second.communicate(timeout=20)
    assert second.returncode == -signal.SIGTERM
    wait_until(lambda: coordinator.resource("one")["line"]["waiting"] == 0)
    first.terminate()
    first.communicate(timeout=20)


@pytest.mark.parametrize(
    ("options", "code"), [(["-w", "0s"], 75), (["-w", "50ms"], 75), (["-w", "0s", "-E", "3"], 3)]
)
def test_no_lease_in_time_has_an_exit_code_of_its_own(run, options, code):
    first = run.start("-r", "one", "--", "sh", "-c", "echo up; exec sleep 60")
    started(first)
    done = run("-r", "one", *options, "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (code, "")
    assert "concurrency" in done.stderr
    first.terminate()
    first.communicate(timeout=20)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-r", "many", "-l", "5k"], 69, "never_fits"),
        (["-r", "none-such"], 69, "unknown_resource"),
        (["-r", "many", "--parent", "ls_00000000000000ff"], 69, "unknown_lease"),
        (["-r", "many", "-l", "many"], 2, "is no load"),
        (["-r", "many", "-l", "slots=1"], 2, "is no load"),
        (["-r", "many", "-p", "11"], 2, "11"),
        (["-r", "many", "-w", "5"], 2, "5"),
        (["-r", "many", "-L", "x"], 2, "label"),
        (["-r", "many", "-u", "nonsense"], 2, "nonsense"),
        ([], 2, "--resource"),
        (["-r", "many", "--nonsense"], 2, "nonsense"),
    ],
)
def test_what_goes_wrong_is_said(run, options, code, words):
    done = run(*options, "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_command_must_be_named(run):
    done = run("-r", "many")
    assert done.returncode == 2
    assert "command" in done.stderr


def test_without_a_coordinator_nothing_runs(run_at):
    done = run_at("http://127.0.0.1:9")("-r", "many", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (75, "")
    assert "127.0.0.1:9" in done.stderr


def test_loads_of_every_unit_are_asked_for(coordinator, run):
    load = "requests=2,input_tokens=30,output_tokens=12,usd=0.5"
    process = run.start("-r", "many", "-l", load, "--", "sh", "-c", "echo up; exec sleep 60")
    started(process)
    held = coordinator.leases()[0]["held"]
    assert (held["requests"], held["tokens"]) == (2, 42)
    process.terminate()
    process.communicate(timeout=20)


def test_tenant_session_and_labels_are_named(coordinator, run):
    process = run.start(
        *("-r", "many", "-t", "night", "-s", "s1", "-L", "team=search", "-L", "job=a=b"),
        *("--", "sh", "-c", "echo up; exec sleep 60"),
    )
    started(process)
    lease = coordinator.leases()[0]
    assert (lease["tenant"], lease["session"]) == ("night", "s1")
    assert lease["labels"] == {"team": "search", "job": "a=b"}
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/hostname", 126)])
def test_a_command_that_cannot_run_has_used_nothing(coordinator, run, program, code):
    done = run("-r", "many", "-l", "500", "--", program)
    assert done.returncode == code
    assert program in done.stderr
    assert coordinator.leases() == []
    tokens = [limit for limit in coordinator.resource("many")["limits"] if limit["limit"] == "tpm"]
    assert tokens[0]["used"] == 0


def test_the_lease_is_renewed_while_the_command_runs(coordinator, run):
    # Renewed after a third of its life, so a busy machine may be two seconds late.
    process = run.start("-r", "many", "--lease", "3s", "--", "sh", "-c", "echo up; exec sleep 60")
    started(process)
    first = coordinator.leases()[0]["expires_ms"]
    wait_until(lambda: coordinator.leases()[0]["expires_ms"] > first)
    process.terminate()
    process.communicate(timeout=20)
    assert coordinator.resource("many")["expired"] == 0


def test_the_command_may_settle_its_lease_itself(coordinator, run):
    script = (
        "curl -s -o /dev/null -H 'Content-Type: application/json' "
        """-d '{"lease":"'$SLUICE_LEASE'","usage":{"tokens":7}}' $SLUICE_URL/v1/release"""
    )
    done = run("-r", "many", "-l", "500", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert coordinator.resource("many")["used"]["tokens"] == 7


def test_a_run_within_a_run_that_can_never_begin_is_refused(run):
    inner = 'exec "$0" run -r one --parent $SLUICE_LEASE -- echo ran'
    done = run("-r", "one", "--", "sh", "-c", inner, run.binary)
    assert (done.returncode, done.stdout) == (69, "")
    assert "would_deadlock" in done.stderr


def test_help_has_examples(run):
    done = run("--help")
    assert done.returncode == 0
    assert "Examples:" in done.stdout


KEYED = """
listen: 127.0.0.1:0
store: {store}
keys:
  - name: worker
    hash: "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    rights: [acquire, read]
resources:
  many: {{rpm: 100}}
"""


def test_the_key_comes_from_the_environment(start_coordinator, run_at):
    run = run_at(start_coordinator(KEYED).url)
    arguments = ("-r", "many", "--", "echo", "ran")
    assert run(*arguments, SLUICE_API_KEY="secret").returncode == 0
    for wrong in ("other", ""):
        done = run(*arguments, SLUICE_API_KEY=wrong)
        assert (done.returncode, done.stdout) == (77, "")
        assert "unauthorized" in done.stderr and "SLUICE_API_KEY" in done.stderr


def test_other_commands_say_where_the_key_comes_from_too(start_coordinator, run_at):
    run = run_at(start_coordinator(KEYED).url)
    for command in (("status",), ("usage",), ("budget",)):
        done = subprocess.run([run.binary, *command], env=run.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert "unauthorized" in done.stderr and "$SLUICE_API_KEY" in done.stderr
