#!/usr/bin/env python3
"""`kill -9` at random moments under load, and what must hold after it.

    tests/crash/torture.py [--rounds N] [--seed N] [--binary FILE] [--durability process,full]

Each round starts the daemon on the store of the round before, lets several clients acquire and release
over HTTP, kills the daemon, starts it again, and checks:

- no window was over its amount, counting every grant that was answered, before and after any crash:
  by the clients' own clocks, and by the times in the grants;
- never more calls in flight than there are slots;
- leases that were answered and not settled are still held, the same id gets the same lease, and they
  can be settled, and not late;
- every settle that was answered is in the journal, once, with what was used;
- a release that was not answered can be repeated; an acquire that was not answered can be asked again;
- the budgets stand at what was settled, to the last picodollar, and never above their amount.

Which moments and loads a round has follows from the seed. How the machine schedules them does not, so
a seed that failed is a hint and not a replay. The exit status is 1 if anything was violated.
"""

import argparse
import collections
import http.client
import itertools
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30 * int(os.environ.get("SLUICE_TEST_SLOW", "1"))
CLIENTS = 8
SLOTS = 5
REQUESTS, REQUESTS_S = 250, 2
TOKENS, TOKENS_S = 60_000, 3
BUDGET_USD = 0.005
PICOUSD = 10**12
LEASE_MS = 600_000

CONFIG = f"""
listen: 127.0.0.1:0
store: STORE
resources:
  chat:
    price: given
    limits:
      - {{unit: slots, amount: {SLOTS}, name: slots}}
      - {{unit: requests, amount: {REQUESTS}, per: {REQUESTS_S}s, name: rpm, guard: 0s}}
      - {{unit: tokens, amount: {TOKENS}, per: {TOKENS_S}s, name: tpm, guard: 0s}}
      - {{unit: usd, amount: {BUDGET_USD}, per: lifetime, scope: session, name: budget}}
"""


class Violation(Exception):
    """Something that was promised did not hold."""


class Gone(Exception):
    """The daemon did not answer."""


def require(holds, what):
    if not holds:
        raise Violation(what)


class Lease:
    """One request of a client, and what is known of it. Times are the client's monotonic seconds."""

    def __init__(self, name, tokens, session, picousd):
        self.id = name
        self.tokens = tokens  # asked for
        self.used_tokens = max(1, tokens * 2 // 3)
        self.session = session
        self.picousd = picousd  # asked for
        self.used_picousd = picousd * 3 // 4 + 1
        self.sent_s = None
        self.answered_s = None  # of the first answered grant
        self.granted_ms = None  # by the daemon's clock
        self.lease = None
        self.refused = None
        self.release_sent_s = None
        self.settled_s = None  # when the release was answered

    @property
    def settled(self):
        return self.settled_s is not None

    def done_before(self, moment_s):
        """Whether nothing of this request was under way at that moment."""
        if self.refused:
            return True
        if self.answered_s is None or self.answered_s > moment_s:
            return False
        return self.release_sent_s is None or self.release_sent_s > moment_s or (self.settled_s or moment_s) < moment_s

    def request(self, wait_ms):
        return {
            "resource": "chat",
            "id": self.id,
            "load": {"tokens": self.tokens, "usd": self.picousd / PICOUSD},
            "session": self.session,
            "wait_ms": wait_ms,
            "hold_ms": 60_000,
            "lease_ms": LEASE_MS,
        }

    def usage(self):
        return {"requests": 1, "tokens": self.used_tokens, "usd": self.used_picousd / PICOUSD}


class Daemon:
    """A running `sluice serve`."""

    def __init__(self, binary, config, durability):
        command = [binary, "serve", "-c", str(config), "--durability", durability]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.heard = threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()
        self.port = None

    def _follow(self):
        for line in self.process.stderr:
            with self.heard:
                self.log.append(line)
                self.heard.notify_all()
        with self.heard:
            self.ended = True
            self.heard.notify_all()

    def wait_listening(self):
        pattern = re.compile(r"listening on 127\.0\.0\.1:(\d+)")

        def found():
            return next((m for m in map(pattern.search, self.log) if m), None)

        with self.heard:
            self.heard.wait_for(lambda: found() or self.ended, PATIENCE_S)
            require(found(), "the daemon did not start:\n" + "".join(self.log))
            self.port = int(found().group(1))
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()


class Client:
    """A connection that says Gone for whatever keeps an answer from arriving."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Gone(str(error)) from error

    def acquire(self, lease, wait_ms):
        """Asks for a lease, again and again the same; notes the first answer that grants it."""
        if lease.sent_s is None:
            lease.sent_s = time.monotonic()
        status, answer = self.ask("POST", "/v1/acquire", lease.request(wait_ms))
        if status != 200:
            return status, answer
        if lease.lease is None:
            lease.answered_s = time.monotonic()
            lease.granted_ms = answer["expires_ms"] - LEASE_MS
            lease.lease = answer["lease"]
        return status, answer

    def release(self, lease):
        if lease.release_sent_s is None:
            lease.release_sent_s = time.monotonic()
        status, answer = self.ask("POST", "/v1/release", {"lease": lease.lease, "usage": lease.usage()})
        require(status == 200, f"{lease.lease} could not be released: {status} {answer}")
        require(answer["late"] is False, f"{lease.lease} was released late")
        require(answer["settled"].get("tokens") == lease.used_tokens, f"{lease.lease} was settled otherwise: {answer}")
        lease.settled_s = lease.settled_s or time.monotonic()

    def open_leases(self):
        names, after = set(), ""
        while after is not None:
            status, answer = self.ask("GET", "/v1/leases?limit=1000" + (f"&after={after}" if after else ""))
            require(status == 200, f"leases cannot be listed: {answer}")
            names.update(entry["lease"] for entry in answer["leases"])
            after = answer["next"]
        return names


class Torture:
    def __init__(self, binary, seed, directory):
        self.binary = binary
        self.random = random.Random(seed)
        self.store = directory / "torture.db"
        self.config = directory / "torture.yaml"
        self.config.write_text(CONFIG.replace("STORE", str(self.store)))
        self.leases = []  # of all rounds
        self.round = 0
        self.killed_s = None
        self.spent = collections.Counter()  # picodollars by session, settled in all rounds
        self.lock = threading.Lock()
        self.violations = []

    # --- Load ---

    def work(self, port, seed):
        """One client: acquires and releases until the daemon is gone."""
        choices = random.Random(seed)
        client = Client(port)
        for n in range(100_000):
            lease = Lease(
                f"r{self.round}-{seed}-{n}",
                choices.randint(1, 400),
                choices.choice(["poor", f"s{self.round}a", f"s{self.round}b"]),
                choices.randint(1, 10_000_000),
            )
            with self.lock:
                self.leases.append(lease)
            try:
                status, answer = client.acquire(lease, 5000)
                if status == 503 and answer["error"]["code"] == "shutting_down":
                    return
                if status != 200:
                    lease.refused = answer["error"]["code"]
                    require(lease.refused in ("budget_exceeded", "wait_timeout"), f"refused: {answer}")
                    continue
                if choices.random() < 0.5:
                    time.sleep(choices.random() * 0.03)
                if choices.random() < 0.97:
                    client.release(lease)
            except Gone:
                return
            except Violation as violation:
                self.violations.append(violation)
                return

    def load(self, daemon):
        """Runs the clients, and kills the daemon under them at a moment of the seed's choice."""
        workers = [
            threading.Thread(target=self.work, args=(daemon.port, self.random.randrange(10**9))) for _ in range(CLIENTS)
        ]
        for worker in workers:
            worker.start()
        time.sleep(self.random.choice([0.02, 0.1, 0.3, 1.0]) * (0.5 + self.random.random()))
        if self.random.random() < 0.2:
            daemon.process.send_signal(signal.SIGTERM)  # a kill may also meet a shutdown
        self.killed_s = time.monotonic()
        daemon.kill()
        for worker in workers:
            worker.join()
        if self.violations:
            raise self.violations[0]

    def start(self, durability):
        while self.random.random() < 0.2:
            # A kill may also meet a start.
            early = Daemon(self.binary, self.config, durability)
            time.sleep(self.random.random() * 0.02)
            early.kill()
        return Daemon(self.binary, self.config, durability).wait_listening()

    # --- What must hold ---

    def recover(self, port, leases):
        """Finishes what the crash interrupted, and checks that nothing that was answered is lost."""
        client = Client(port)
        held = client.open_leases()
        answered = [lease for lease in leases if lease.lease]
        for lease in answered:
            if lease.release_sent_s is None:
                require(lease.lease in held, f"{lease.lease} was granted and is no longer held")
            elif lease.settled:
                require(lease.lease not in held, f"{lease.lease} was settled and is held again")
        for lease in self.random.sample(answered, min(40, len(answered))):
            status, answer = client.acquire(lease, 0)
            require(
                status == 200 and answer["lease"] == lease.lease, f"{lease.id} was {lease.lease} and is {status} {answer}"
            )
        for lease in answered:
            if not lease.settled or self.random.random() < 0.05:
                client.release(lease)
        for lease in leases:
            if not lease.lease and not lease.refused:
                status, answer = client.acquire(lease, 20_000)
                if status == 200:
                    client.release(lease)
                else:
                    lease.refused = answer["error"]["code"]
                    require(lease.refused == "budget_exceeded", f"{lease.id} was refused: {answer}")
        left = client.open_leases()
        require(not left, f"leases that nobody was told of are held: {sorted(left)}")

    def check_journal(self, leases):
        """Every settle that was answered is there, once, as it was; and the budgets are their sum."""
        require(self.store.exists(), "there is no store")
        db = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        settles = collections.defaultdict(list)
        for name, tokens, usd in db.execute(
            "SELECT printf('ls_%016x', lease), tokens, usd_pico FROM record WHERE kind = 3"
        ):
            settles[name].append((tokens, usd))
        budgets = dict(db.execute("SELECT scope_key, used FROM counter WHERE limit_name = 'budget'"))
        db.close()
        for lease in leases:
            if lease.settled:
                wanted = [(lease.used_tokens, lease.used_picousd)]
                require(settles[lease.lease] == wanted, f"{lease.lease}: settled {settles[lease.lease]}, used {wanted}")
        for lease in leases:
            self.spent[lease.session] += lease.used_picousd if lease.settled else 0
        for session, sum_picousd in self.spent.items():
            require(
                budgets.get(session, 0) == sum_picousd,
                f"session {session} spent {sum_picousd} and its budget says {budgets.get(session)}",
            )
            require(sum_picousd <= round(BUDGET_USD * PICOUSD), f"session {session} overspent: {sum_picousd}")

    def check_windows(self):
        granted = [lease for lease in self.leases if lease.lease]

        def tokens(lease):
            # What was used replaces what was held at some moment that is not known: the lesser counts.
            return lease.used_tokens if lease.release_sent_s is not None else lease.tokens

        for amount, per_s, load in ((REQUESTS, REQUESTS_S, lambda _: 1), (TOKENS, TOKENS_S, tokens)):
            spans = [(lease.sent_s, lease.answered_s, load(lease)) for lease in granted]
            check_window(spans, amount, per_s, "by the clients' clocks")
            spans = [(lease.granted_ms, lease.granted_ms, load(lease)) for lease in granted]
            # Times in grants are cut to milliseconds.
            check_window(spans, amount, per_s * 1000 - 1, "by the times in the grants")

    def check_slots(self):
        changes = []
        for lease in self.leases:
            if lease.lease and (lease.release_sent_s is None or lease.release_sent_s > lease.answered_s):
                changes.append((lease.answered_s, 1))
                changes.append((lease.release_sent_s or float("inf"), -1))
        held = 0
        for at_s, change in sorted(changes):
            held += change
            require(held <= SLOTS, f"{held} calls in flight at {at_s}, {SLOTS} are allowed")

    def run_round(self, durability):
        self.round += 1
        first = len(self.leases)
        self.load(self.start(durability))
        leases = self.leases[first:]
        daemon = self.start(durability)
        try:
            self.recover(daemon.port, leases)
            self.check_journal(leases)
        finally:
            daemon.kill()
        self.check_windows()
        self.check_slots()
        self.forget()
        return leases

    def forget(self):
        """Grants long past cannot share a window with later ones."""
        horizon_s = time.monotonic() - 2 * max(REQUESTS_S, TOKENS_S)
        self.leases = [lease for lease in self.leases if lease.lease and lease.answered_s > horizon_s]


def check_window(spans, amount, per, clock):
    """Whatever certainly happened within any `per` must not exceed `amount`.

    A span is (not before, not after, load): the load was charged somewhere in it. The widest claim is
    made from each beginning: what began no earlier and had ended before `per` was over.
    """
    spans = sorted(spans)
    for i, (first, _, _) in enumerate(spans):
        inside = 0
        for begin, end, load in itertools.islice(spans, i, None):
            if begin >= first + per:
                break
            inside += load if end < first + per else 0
        require(inside <= amount, f"{inside} within {per}, {amount} are allowed ({clock})")


def torture(binary, rounds, seed, durabilities, say=print):
    with tempfile.TemporaryDirectory(prefix="sluice-torture-") as directory:
        state = Torture(binary, seed, Path(directory))
        grants = settles = 0
        for n in range(rounds):
            durability = durabilities[n % len(durabilities)]
            try:
                leases = state.run_round(durability)
            except Violation as violation:
                say(f"round {n + 1}, durability {durability}, seed {seed}: {violation}")
                return False
            granted = [lease for lease in leases if lease.lease]
            met = [lease for lease in leases if lease.sent_s < state.killed_s and not lease.done_before(state.killed_s)]
            grants += len(granted)
            settles += sum(lease.settled for lease in leases)
            say(f"round {n + 1}: durability {durability}, {len(granted)} grants, the kill met {len(met)} requests")
        say(f"{rounds} kills survived: {grants} grants, {settles} settles, seed {seed}")
        return grants > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="kills in all (20)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="any number (chosen anew)")
    parser.add_argument("--binary", default=os.environ.get("SLUICE_BINARY", str(ROOT / "build" / "sluice")))
    parser.add_argument("--durability", default="process,full", help="which are tried, in turn (process,full)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    ok = torture(arguments.binary, arguments.rounds, arguments.seed, arguments.durability.split(","))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
