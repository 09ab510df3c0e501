"""Each rule of the tidy check fires on a bad sample and stays silent on the good one beside it."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("tidy", ROOT / "tools" / "tidy.py")
tidy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tidy)


def rules_of(path, text, **tables):
    return {finding.rule for finding in tidy.check_file(Path(path), text, **tables)}


def c_function(name, lines):
    return f"int {name}(void)\n{{\n" + "    step();\n" * (lines - 3) + "}\n"


BAD = [
    ("include", "src/core/line.c", '#include "http/http.h"\n'),
    ("include", "src/http/http.c", '#include "server/driver.h"\n'),
    ("include", "src/journal/row.c", '#include "core/core.h"\n'),
    ("include", "src/core/line.c", "#include <time.h>\n"),
    ("include", "src/server/driver.c", "#include <sqlite3.h>\n"),
    ("include", "src/attic/old.c", "int x;\n"),
    ("banned", "src/server/log.c", "void f(void)\n{\n    sprintf(b, x);\n}\n"),
    ("banned", "src/server/log.c", "int f(void)\n{\n    return atoi(x);\n}\n"),
    ("banned", "src/core/line.c", "long f(void)\n{\n    return time(NULL);\n}\n"),
    ("banned", "src/server/log.c", "void f(void)\n{\n    exit(1);\n}\n"),
    ("long", "src/server/log.c", c_function("f", 71)),
    ("long", "src/core/line.c", "int x;\n" * 501),
    ("long", "src/server/log.c", "int x;\n" * 801),
    ("long", "src/server/log.h", "int x;\n" * 151),
    ("long", "bench/run.py", "def f():\n" + "    pass\n" * 70),
    ("leftover", "src/server/log.c", "/* TODO later */\n"),
    ("leftover", "src/server/log.c", '    printf("DEBUG %d", x);\n'),
    ("leftover", "src/server/log.c", "#if 0\n"),
    ("leftover", "src/server/log.c", "// line_remove(line, request);\n"),
    ("leftover", "bench/run.py", "breakpoint()\n"),
    ("noun", "src/core/line.c", "struct wait_queue q;\n"),
    ("noun", "src/http/json.c", "/* Gives the permit back. */\n"),
    ("noun", "docs/intro.md", "Ask for a permit first.\n"),
    ("noun", "src/server/driver.c", "int64_t max_wait;\n"),
    ("space", "src/server/log.c", "int x; \n"),
    ("space", "docs/intro.md", "a\tb\n"),
    ("space", "docs/intro.md", "no newline"),
    ("name", "src/server/utils.c", "int x;\n"),
    ("name", "src/server/lease_manager.c", "int x;\n"),
    ("place", "docs/intro.md", "See " + "/ho" + "me/me/x.\n"),
]

GOOD = [
    ("src/core/line.c", '#include "base/heap.h"\n#include <stdint.h>\n'),
    ("src/journal/row.c", '#include "core/record.h"\n#include <sqlite3.h>\n'),
    ("src/cmd/main.c", "int f(void)\n{\n    exit(1);\n}\n"),
    ("src/server/log.c", "int f(void)\n{\n    return clock_time(now) + x.time(1);\n}\n"),
    ("src/server/log.c", '    say("never call sprintf() or exit()");\n/* time() is not used. */\n'),
    ("src/server/log.c", c_function("f", 70)),
    ("src/server/log.h", "/*\n *     line_remove(line, request);\n */\n"),
    ("src/server/log.c", "    /* Frees it. */\n    *b = (struct buf){0};\n"),
    ("docs/intro.md", "The line is no `queue`.\n```\nqueue permit\n```\n"),
    ("tests/server/test_x.py", "path = '/etc/hosts'\n"),
]


@pytest.mark.parametrize("rule, path, text", BAD, ids=[f"{b[0]}-{i}" for i, b in enumerate(BAD)])
def test_a_bad_sample_is_found(rule, path, text):
    assert rule in rules_of(path, text)


@pytest.mark.parametrize("path, text", GOOD)
def test_a_good_sample_is_left_alone(path, text):
    assert rules_of(path, text) == set()


def test_every_rule_has_a_bad_sample():
    rules = set(re.findall(r"^def rule_(\w+)\(", (ROOT / "tools" / "tidy.py").read_text(), re.M))
    shown = {rule for rule, _, _ in BAD} | {"table"}
    assert rules <= shown


def test_a_fuzzer_must_be_in_the_table():
    lists = {"tests/fuzz/meson.build": "'http': [],"}
    assert "table" in rules_of("tests/fuzz/fuzz_new.c", "int x;\n", lists=lists)
    assert "table" not in rules_of("tests/fuzz/fuzz_http.c", "int x;\n", lists=lists)


def test_a_decision_must_be_in_the_list():
    lists = {"docs/decisions/README.md": "- [0001](0001-first.md) First"}
    assert "table" in rules_of("docs/decisions/0002-second.md", "# 0002\n", lists=lists)
    assert "table" not in rules_of("docs/decisions/0001-first.md", "# 0001\n", lists=lists)


def test_the_ratchet_lets_a_long_function_shrink_and_not_grow():
    accepted = {"src/server/log.c:f": 80}
    assert rules_of("src/server/log.c", c_function("f", 80), ratchet=accepted) == set()
    assert rules_of("src/server/log.c", c_function("f", 75), ratchet=accepted) == set()
    assert "ratchet" in rules_of("src/server/log.c", c_function("f", 81), ratchet=accepted)


def test_the_ratchet_is_only_ever_written_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    monkeypatch.setattr(tidy, "RATCHET", Path("ratchet.txt"))
    tidy.write_ratchet({"grown": 80, "shrunk": 90, "gone": 100}, {"grown": 85, "shrunk": 88, "new": 200})
    assert tidy.read_ratchet() == {"grown": 80, "shrunk": 88}


def test_every_function_of_a_file_is_measured():
    text = "static int a(void)\n{\n    return 0;\n}\n\nint b(int x,\n      int y)\n{\n    return x;\n}\n"
    assert list(tidy.functions_of(text)) == [("a", 1, 4), ("b", 6, 5)]


def test_a_copy_without_git_is_judged_as_well(tmp_path):
    for name in ("src/core/line.c", "README.md", "build/made.c", "build-asan/made.c", ".venv/lib/made.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("int x;\n")
    assert tidy.listed_files(tmp_path) == ["README.md", "src/core/line.c"]
