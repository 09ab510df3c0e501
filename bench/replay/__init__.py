"""Replays of recorded traffic against the pretend provider: the demo and the long runs."""
