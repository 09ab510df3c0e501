"""What a client does about forks, exits and the environment."""

import os
import subprocess
import sys
import textwrap

import sluice
from real import PATIENCE_S


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE_S,
    )


def test_the_address_and_the_key_come_from_the_environment(pretend):
    done = python(
        """
        import sluice
        with sluice.Client() as client:
            client.acquire("a").settle(1)
        """,
        SLUICE_URL=pretend.url,
        SLUICE_API_KEY="secret",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert pretend.requests[0]["headers"]["authorization"] == "Bearer secret"


def test_a_process_that_just_ends_delivers_what_it_settled(pretend):
    done = python(
        """
        import sluice
        client = sluice.Client()
        for _ in range(20):
            with client.acquire("a") as lease:
                lease.settle(1)
        """,
        SLUICE_URL=pretend.url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pretend.released) == 20


def test_a_forked_process_starts_afresh(pretend):
    with sluice.Client(pretend.url) as client:
        held = client.acquire("a")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with client.acquire("child") as lease:
                    lease.settle(2)
                client.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        held.settle(1)
        client.flush()
        client.acquire("parent").settle(3)
    by_resource = [item["resource"] for array in pretend.arrays for item in array]
    assert by_resource == ["a", "child", "parent"]
    assert [r["usage"]["tokens"] for r in pretend.released] == [2, 1, 3]
    prefixes = {item["id"].split("-")[0] for array in pretend.arrays for item in array}
    assert len(prefixes) == 2


def test_a_forked_process_leaves_its_parents_leases_alone(pretend):
    with sluice.Client(pretend.url) as client:
        with client.acquire("a") as lease:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    try:
                        lease.settle(9)
                    except sluice.ClientClosed:
                        code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            assert not lease.ended
            lease.settle(1)
    assert [r["usage"] for r in pretend.released] == [{"tokens": 1}]


def test_a_lease_may_outlive_its_clients_name(pretend):
    with sluice.Client(pretend.url).acquire("a") as lease:
        lease.settle(1)


def test_the_source_keeps_to_the_oldest_python_it_names():
    import ast
    from pathlib import Path

    for path in Path(sluice.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
