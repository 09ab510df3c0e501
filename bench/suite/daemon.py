"""What is measured: the daemon under a load, and its HTTP server answering a constant."""

import http.client
import json
import re

from .place import ROOT, Running, run

CONFIG = ROOT / "bench" / "stacked.yaml"
CONNECTIONS = 64
ARRAY_LEN = 64
# Leases end during the run as well, by expiring, so that the load is one that could go on for ever.
ACQUIRE = '{"resource":"chat","load":1500,"lease_ms":250}'
ARRAY = "[" + ",".join([ACQUIRE] * ARRAY_LEN) + "]"
LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


class Daemon(Running):
    def __init__(self, place, durability):
        directory = place.fresh_directory()
        command = [place.program("sluice"), "serve", "-c", str(CONFIG), "--store", "bench.db"]
        super().__init__([*command, "--durability", durability], directory, LISTENING.search)
        self.port = int(self.found.group(1))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            return connection.getresponse().read()
        finally:
            connection.close()


def load(place, name, port, body, lines=0, releases=False):
    """Runs the load against a port, and returns what it counted."""
    command = [place.program("http_load"), "-c", str(CONNECTIONS), "-d", str(place.seconds)]
    command += ["-w", str(place.warm_seconds)] + (["-l", str(lines)] if lines else []) + (["-r"] if releases else [])
    shown = "$ARRAY" if lines else f"'{body}'"
    place.note(name, " ".join([*command, "$PORT", "/v1/acquire", shown]))
    return json.loads(run([*command, str(port), "/v1/acquire", body]))


def note_daemon(place, name, durability):
    sluice = place.program("sluice")
    place.note(name, f"{sluice} serve -c bench/stacked.yaml --store bench.db --durability {durability}")


def decisions(place, durability):
    name = f"sluice_{durability}"
    note_daemon(place, name, durability)
    with Daemon(place, durability) as daemon:
        return load(place, name, daemon.port, ACQUIRE)


def pairs(place):
    """What workers do: a call's lease is released when the call is over, with what it used."""
    note_daemon(place, "pairs", "process")
    with Daemon(place, "process") as daemon:
        return load(place, "pairs", daemon.port, ACQUIRE, releases=True)


def arrays(place):
    note_daemon(place, "arrays", "process")
    with Daemon(place, "process") as daemon:
        return load(place, "arrays", daemon.port, ARRAY, lines=ARRAY_LEN)


def ceiling(place):
    """The constant is an answer that the daemon gave, so that both send the same bytes."""
    with Daemon(place, "none") as daemon:
        answer = daemon.ask("POST", "/v1/acquire", json.loads(ACQUIRE)).decode()
    command = [place.program("http_ceiling"), "0", answer]
    place.note("ceiling", f'{command[0]} 0 "$ANSWER"')
    with Running(command, place.fresh_directory(), LISTENING.search) as server:
        return load(place, "ceiling", int(server.found.group(1)), ACQUIRE)


def handover(place, durability, times):
    name = f"handover_{durability}"
    note_daemon(place, name, durability)
    command = [place.program("handover"), "-n", str(times)]
    place.note(name, " ".join([*command, "$PORT", "one"]))
    with Daemon(place, durability) as daemon:
        return json.loads(run([*command, str(daemon.port), "one"]))
