"""A start that cannot succeed says why, and has touched no store by then."""

import socket

import pytest

from conftest import SMALL

ELSEWHERE = "192.0.2.1:0"  # an address for documentation, which no machine has


def refused(daemon, tmp_path, config, *arguments, says):
    d = daemon(config, "--store", str(tmp_path / "second.db"), *arguments, listening=False)
    assert d.wait() == 1
    d.wait_log(says)
    assert not list(tmp_path.glob("second.db*"))


def test_a_second_daemon_on_the_port_leaves_no_store(daemon, tmp_path):
    first = daemon()
    refused(daemon, tmp_path, SMALL, "--listen", f"127.0.0.1:{first.port}", says=r"cannot listen: .*address already in use")
    assert first.get("/readyz").status == 200


def test_a_second_daemon_on_the_socket_leaves_no_store_and_the_socket_to_the_first(daemon, tmp_path):
    path = tmp_path / "s.sock"
    first = daemon(SMALL, "--listen", f"unix:{path}", listening=False)
    first.wait_log(r"listening on unix:")
    refused(daemon, tmp_path, SMALL, "--listen", f"unix:{path}", says=r"cannot listen: .*address already in use")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))


def test_a_second_address_that_is_taken_leaves_no_store_and_the_first_free(daemon, tmp_path):
    path = tmp_path / "s.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = f"listen: ['unix:{path}', 127.0.0.1:{port}]\n" + SMALL
        refused(daemon, tmp_path, config, says=r"cannot listen: .*address already in use")
    assert not path.exists()


@pytest.mark.parametrize(
    "address, says",
    [
        (ELSEWHERE, r"cannot listen: .*address not available"),
        ("unix:/nowhere/at/all.sock", r"cannot listen: .*no such directory"),
        ("127.0.0.1:http", r"--listen: "),
        ("nowhere", r"--listen: "),
    ],
)
def test_an_address_that_cannot_be_had_leaves_no_store(daemon, tmp_path, address, says):
    refused(daemon, tmp_path, SMALL, "--insecure", "--listen", address, says=says)


def test_a_port_without_the_right_to_it_leaves_no_store(daemon, tmp_path):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 1))
        except PermissionError:
            pass
        else:
            pytest.skip("this user may have any port")
    refused(daemon, tmp_path, SMALL, "--listen", "127.0.0.1:1", says=r"cannot listen: .*permission denied")


def test_an_address_beyond_this_machine_without_keys_leaves_no_store(daemon, tmp_path):
    refused(daemon, tmp_path, SMALL, "--listen", "0.0.0.0:0", says=r"no `keys`.*--insecure")


def test_a_wrong_configuration_leaves_no_store(daemon, tmp_path):
    refused(daemon, tmp_path, SMALL + "nonsense: 1\n", says=r"\"nonsense\" is not a key here")


def test_a_store_that_cannot_be_opened_leaves_no_socket(daemon, tmp_path):
    path = tmp_path / "s.sock"
    daemon()
    second = daemon(SMALL, "--listen", f"unix:{path}", listening=False)
    assert second.wait() == 1
    second.wait_log(r"the store cannot be opened")
    assert not path.exists()
