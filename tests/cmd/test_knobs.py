"""Whatever keeps a command from its work is said together with the word that changes it."""

import os
import socket
import subprocess

import pytest

CONFIG = "listen: {listen}\nstore: {store}\nresources:\n  chat: {{rpm: 100}}\n"
# Of the environment of whoever runs the tests, nothing may point at another coordinator.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("SLUICE_URL", "SLUICE_API_KEY")}


def sluice(*arguments):
    return subprocess.run(
        [os.environ["SLUICE_BINARY"], *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )


@pytest.fixture
def taken():
    """An address where somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.fixture
def serve(tmp_path):
    """Starts a daemon that must not start, and gives what it says."""

    def start(*arguments, listen="127.0.0.1:0", store=None):
        path = tmp_path / "sluice.yaml"
        path.write_text(CONFIG.format(listen=listen, store=store or tmp_path / "sluice.db"))
        done = sluice("serve", "-c", path, *arguments)
        assert done.returncode == 1
        return done.stderr + done.stdout

    return start


def test_an_address_that_is_taken_names_the_key_that_gives_another(serve, taken):
    said = serve(listen=taken)
    assert taken in said and "address already in use" in said and "`listen`" in said


def test_an_address_that_is_taken_names_the_option_that_gave_it(serve, taken):
    said = serve("--listen", taken)
    assert taken in said and "give --listen another address" in said


@pytest.mark.parametrize("address", ["7411", "127.0.0.1", "127.0.0.1:99999", "::1:7411"])
def test_what_is_no_address_is_not_taken_for_an_open_one(serve, address):
    said = serve("--listen", address)
    assert f'--listen: "{address}" is not HOST:PORT' in said
    assert "--insecure" not in said


def test_a_socket_in_a_directory_that_is_not_there_says_so(serve, tmp_path):
    said = serve("--listen", f"unix:{tmp_path}/none/s")
    assert "no such directory" in said and "--listen" in said


def test_a_store_in_a_directory_that_is_not_there_names_its_key(serve, tmp_path):
    said = serve(store=tmp_path / "none" / "sluice.db")
    assert "No such file or directory" in said and "`store`" in said


def test_a_store_that_is_a_directory_names_its_key(serve, tmp_path):
    (tmp_path / "store").mkdir()
    said = serve(store=tmp_path / "store")
    assert "Is a directory" in said and "`store`" in said


def test_a_pretend_provider_whose_address_is_taken_names_its_option(taken):
    done = sluice("mock", "--listen", taken)
    assert done.returncode == 1
    assert taken in done.stderr and "--listen" in done.stderr


@pytest.mark.parametrize("command", ["serve", "run", "mock"])
def test_an_unknown_option_is_told_under_the_commands_full_name(command):
    done = sluice(command, "--lisen")
    assert done.returncode == 2
    assert done.stderr.startswith(f"sluice {command}: ") and "--lisen" in done.stderr


def test_a_coordinator_that_is_not_there_names_where_it_is_looked_for():
    address = "127.0.0.1:9"  # the discard port, where nobody listens
    done = sluice("run", "-r", "chat", "-u", f"http://{address}", "--", "true")
    assert done.returncode == 75
    assert address in done.stderr and "--url" in done.stderr and "SLUICE_URL" in done.stderr


@pytest.mark.parametrize(("option", "value", "words"), [("-p", "11", "a priority"), ("-E", "256", "an exit code")])
def test_a_number_out_of_its_range_is_told_what_it_would_be(option, value, words):
    done = sluice("run", "-r", "chat", option, value, "--", "true")
    assert done.returncode == 2
    assert f'"{value}" is not {words}' in done.stderr
