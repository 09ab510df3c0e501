"""What is measured of the stormy hour, on a few calls whose fates are known."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from replay.play import MODEL  # noqa: E402
from replay.storm import PICOUSD, STEP_S, Storm, Trouble, measure_storm, sessions_of  # noqa: E402
from replay.trace import Call  # noqa: E402

STORM = Storm(minute_s=60.0, troubles=(Trouble("overloaded", 1, 2, "status 529"),))
STATS = {"arrived": 40, "refused": 1, "failed": 3}


def served(at_s, took_s=1.0, session="s0", picousd=0, refused=()):
    return {
        "came_s": at_s,
        "session": session,
        "refused": list(refused),
        "admitted_s": at_s + took_s,
        "model": MODEL,
        "cost_picousd": picousd,
    }


def lost(at_s):
    return {"came_s": at_s, "session": "s0", "refused": [], "lost_s": at_s + 9, "error": "RateLimitError: no"}


def measured(fates):
    return measure_storm("sluice", fates, STATS, STORM)


def test_it_has_recovered_at_the_first_two_steps_that_are_served_in_time():
    late = [served(120 + STEP_S * step, took_s=20) for step in range(3)]
    quick = [served(120 + STEP_S * step) for step in range(3, 9)]
    assert measured(late + quick).recovery_s == (3 * STEP_S,)
    assert measured(quick[:1] + late + [served(300, took_s=99)]).recovery_s == (3 * STEP_S,)


def test_it_has_not_recovered_while_every_step_has_late_calls():
    assert measured([served(120 + STEP_S * step, took_s=20) for step in range(9)]).recovery_s == (None,)


def test_lost_calls_are_counted_by_what_they_met():
    outcome = measured([served(10), lost(11), lost(12)])
    assert (outcome.lost, outcome.errors) == (2, {"RateLimitError: no": 2})


def test_what_a_budget_keeps_back_is_not_lost():
    outcome = measured([served(10), {"came_s": 11, "session": "late", "refused": [], "kept_back_s": 11.0}])
    assert (outcome.lost, outcome.kept_back) == (0, 1)


def test_only_what_is_beyond_the_budget_is_over_it():
    half = STORM.budget_picousd // 2
    at_the_edge = [served(10, session="late", picousd=half), served(11, session="late", picousd=half)]
    assert measured(at_the_edge).over_usd == 0
    assert measured([*at_the_edge, served(12, session="late", picousd=1)]).over_usd == 1 / PICOUSD


def test_calls_that_were_on_their_way_when_a_trouble_was_first_told_could_not_be_spared():
    met = [(59.0, 61.0, 529), (60.5, 62.0, 529), (61.5, 63.0, 529)]
    assert measured([served(50, refused=met)]).caught == 2


def test_the_wasted_share_is_of_all_calls_that_reached_the_provider():
    assert measured([served(10)]).wasted_share == 0.1


def test_what_one_session_leaves_of_its_budget_is_nothing_to_another():
    all_of_it = served(10, session="early", picousd=STORM.budget_picousd)
    assert measured([all_of_it, served(11, session="late", picousd=1)]).over_usd == 0


def test_sessions_run_away_before_the_storm_and_in_it():
    calls = [Call(float(second), 1, 1) for second in range(0, 3600, 6)]
    sessions = [name for _, name in sessions_of(calls, STORM)]
    assert sessions.count("early") == 35 and sessions.count("late") == 30
    assert sessions[9:13] == ["s0", "early", "s0", "early"] and sessions[79:81] == ["s3", "s4"]
    assert sessions[199] == "s9" and sessions[200] == "late" and sessions[201] == "s10"
