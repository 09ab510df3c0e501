"""A few rounds of what `make torture` does by the hundred, and that its checks notice what they are for."""

import os

import pytest
from torture import ROOT, Violation, check_window, torture

BINARY = os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice"))


@pytest.mark.parametrize("durability", ["process", "full"])
def test_a_kill_loses_nothing_that_was_answered(durability):
    said = []
    assert torture(BINARY, 5, 1, [durability], said.append), "\n".join(said)


def test_a_daemon_that_keeps_nothing_is_found_out():
    said = []
    assert not torture(BINARY, 5, 1, ["none"], said.append)
    assert "durability none" in said[-1] and "did not start" not in said[-1], said


def test_a_window_that_was_exceeded_is_noticed():
    certain = [(0.0, 0.1, 3), (0.5, 0.6, 3), (1.2, 1.3, 3)]
    check_window(certain, 6, 1.0, "test")
    with pytest.raises(Violation, match="6 within 1.0, 5 are allowed"):
        check_window(certain, 5, 1.0, "test")


def test_a_window_is_not_blamed_for_what_may_have_happened_outside():
    check_window([(0.0, 0.1, 3), (0.5, 1.5, 3)], 5, 1.0, "test")
