"""SIGHUP: everything that a changed file changes is said, and what it must not change stays."""

import hashlib
import signal
import subprocess

from conftest import PATIENCE_S, binary

BEFORE = """
server: {{idle_timeout: 75s}}
resources:
  chat:
    price: {{input: 0, output: 0}}
    limits:
      - {{unit: usd, amount: 5, per: day, name: daily}}
      - {{unit: tokens, amount: 1000, per: 1h, name: tpm}}
      - {{unit: slots, amount: 9, name: concurrency}}
      - {{unit: requests, amount: 9, per: day, zone: Europe/Berlin, name: rpd}}
  old: {{rpm: 5}}
  other: {{rpm: 5}}
routes:
  best: {{try: [chat, other]}}
  gone: {{try: [chat]}}
  same: {{try: [other]}}
"""
AFTER = """
listen: [127.0.0.1:0, "unix:{directory}/s"]
server: {{idle_timeout: 76s}}
resources:
  chat:
    price: {{input: 0, output: 1}}
    line: 17
    retry: {{attempts: 2}}
    limits:
      - {{unit: usd, amount: 0.25, per: day, name: daily}}
      - {{unit: tokens, amount: 1000, per: 1h, name: tpm, settle: keep}}
      - {{unit: requests, amount: 7, per: 1m, name: rpm}}
      - {{unit: requests, amount: 9, per: day, zone: Asia/Tokyo, name: rpd}}
  new: {{rpm: 5}}
  other: {{rpm: 5}}
routes:
  best: {{try: [other, chat]}}
  fresh: {{try: [chat]}}
  same: {{try: [other]}}
"""


def reload(d, config):
    d.write_config(config)
    d.signal(signal.SIGHUP)


def test_every_change_is_said(daemon, tmp_path):
    d = daemon(BEFORE.format())
    reload(d, AFTER.format(directory=tmp_path))
    d.wait_log(r"reloaded ")
    for said in [
        r"changed: chat\.daily from 5 to 0\.25 usd",
        r"changed: chat\.tpm has other rules",
        r"changed: chat\.rpd has other rules",
        r"changed: chat: price input 0, .*output 1\b",
        r"changed: chat: feedback .*retry 2 attempts",
        r"changed: chat has other settings",
        r"changed: route best: other, then chat",
        r"changed: route fresh: chat",
        r"changed: route gone is gone",
        r"changed: chat\.rpm is new",
        r"changed: chat\.concurrency is gone",
        r"changed: resource new is new",
        r"changed: resource old is gone",
        r"`listen` has changed: that needs a restart",
        r"caps or timeouts of connections have changed: that needs a restart",
    ]:
        d.wait_log(said)
    assert not [line for line in d.log if "changed: other" in line or "route same" in line]
    assert d.acquire("new").status == 200


def test_keys_cannot_be_taken_away_from_an_open_address(daemon):
    keys = "keys:\n  - {name: k, hash: 'sha256:%s'}\n" % hashlib.sha256(b"secret").hexdigest()
    opened = "listen: 0.0.0.0:0\n" + BEFORE.format()
    d = daemon(keys + opened, key="secret", listening=False)
    d.port = int(d.wait_log(r"listening on 0\.0\.0\.0:(\d+)").group(1))
    reload(d, opened)
    d.wait_log(r"the new configuration has no `keys`.*add some")
    d.wait_log(r"reload refused")
    assert d.acquire(key="").status == 401
    assert d.acquire().status == 200


def test_the_configuration_of_this_directory_is_the_default(daemon, tmp_path):
    # The fixture writes it; this one is started anew without a name for it.
    assert daemon(BEFORE.format()).stop() == 0
    bare = subprocess.Popen([binary(), "serve"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert any("listening on" in line for line in bare.stderr)
    finally:
        bare.terminate()
        bare.communicate(timeout=PATIENCE_S)
    assert bare.returncode == 0


def test_the_log_may_be_of_errors_alone(daemon):
    quiet = daemon("store: /nowhere/at/all.db\n" + BEFORE.format(), "--log-level", "error", listening=False)
    assert quiet.wait() == 1
    assert quiet.log and all(" error " in line for line in quiet.log)


PRICED = "resources: {{chat: {{model: {model}, price: {{input: {price}, output: {price}}}, limits: [{{unit: usd, amount: 50, per: day, name: daily}}]}}}}\n"


def test_a_call_that_is_out_while_prices_change_costs_what_was_held(daemon):
    d = daemon(PRICED.format(model="small", price=2))
    lease = d.lease(load={"input_tokens": 1_000_000, "output_tokens": 0}, id="one")
    reload(d, PRICED.format(model="large", price=30))
    d.wait_log(r"reloaded ")
    assert d.acquire(load={"input_tokens": 1_000_000, "output_tokens": 0}, id="one").json["lease"] == lease
    used = {"usage": {"input_tokens": 500_000, "output_tokens": 0}}
    assert d.release(lease, **used).json["cost_usd"] == 1
    assert d.release(d.lease(load={"input_tokens": 500_000, "output_tokens": 0}), **used).json["cost_usd"] == 15
    rows = d.get("/v1/usage?by=model").json["rows"]
    assert {row["key"]: row["cost_usd"] for row in rows} == {"small": 1, "large": 15}
