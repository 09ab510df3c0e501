"""The measuring of replays, against slow and obvious ways to the same figures."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from replay.measure import average_over, line_intervals, used_steps  # noqa: E402
from replay.trace import Call, fluid_drain_s, read_trace  # noqa: E402

PLENTY = 10**12


def drained_by_steps(calls, tpm):
    """Admits what it can, second by second: calls come at whole seconds."""
    admitted = [0] * 10_000
    waiting = 0
    for second in range(len(admitted)):
        waiting += sum(call.tokens for call in calls if call.at_s == second)
        recent = sum(admitted[max(0, second - 59) : second])
        admitted[second] = min(waiting, tpm - recent)
        waiting -= admitted[second]
        if waiting == 0 and second >= calls[-1].at_s:
            return second
    raise AssertionError("never drained")


@pytest.mark.parametrize("seed", range(20))
def test_the_fluid_minimum_is_what_a_greedy_fluid_reaches(seed):
    chance = random.Random(seed)
    moments = sorted(chance.randrange(200) for _ in range(60))
    calls = [Call(float(at), chance.randrange(1, 900), chance.randrange(1, 200)) for at in moments]
    tpm = chance.randrange(3000, 20000)
    assert fluid_drain_s(calls, PLENTY, tpm) == drained_by_steps(calls, tpm)


def test_a_load_that_fits_is_drained_when_its_last_call_comes():
    calls = [Call(0.0, 10, 10), Call(90.0, 10, 10)]
    assert fluid_drain_s(calls, 10, 10_000) == 90.0


def test_the_scarcest_limit_decides():
    calls = [Call(0.0, 1, 1) for _ in range(5)]
    assert fluid_drain_s(calls, 2, PLENTY) == 120.0


def test_output_is_rounded_up_to_the_next_64():
    assert [Call(0, 1, n).max_tokens for n in (0, 1, 64, 65)] == [64, 64, 64, 128]


def test_the_traces_are_as_long_as_they_should_be():
    assert len(read_trace("azure_conv", 60)) == 19_366
    assert len(read_trace("mooncake_conversation", 60)) == 12_031


def test_a_line_stands_while_a_call_is_neither_admitted_nor_given_up():
    fates = [
        {"came_s": 0.0, "admitted_s": 0.05, "tokens": 1},
        {"came_s": 1.0, "admitted_s": 3.0, "tokens": 1},
        {"came_s": 2.0, "lost_s": 4.0, "tokens": 1},
        {"came_s": 6.0, "admitted_s": 7.0, "tokens": 1},
    ]
    assert line_intervals(fates, 0.5) == [[1.5, 4.0], [6.5, 7.0]]


def test_the_share_used_is_the_average_over_the_line():
    chance = random.Random(1)
    fates = [
        {"came_s": 0.0, "admitted_s": chance.randrange(100) / 4, "tokens": chance.randrange(9)}
        for _ in range(40)
    ]
    fates.append({"came_s": 0.0, "lost_s": 30.0, "tokens": 5})
    intervals = [[2.0, 9.5], [11.25, 30.0]]

    def used(moment):
        return sum(
            fate["tokens"]
            for fate in fates
            if "admitted_s" in fate and fate["admitted_s"] <= moment < fate["admitted_s"] + 5.0
        )

    quarters = [n / 4 for begin, end in intervals for n in range(int(begin * 4), int(end * 4))]
    expected = sum(used(moment) for moment in quarters) / len(quarters)
    assert average_over(used_steps(fates, 5.0), intervals) == pytest.approx(expected)
