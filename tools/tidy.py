#!/usr/bin/env python3
"""The project's own check of its habits. Prints `file:line: rule: what is wrong`, or nothing.

Rules (each a function below, each with a bad sample in tests/tools/test_tidy.py):

    include      an #include points against the arrows
    banned       a function that the house does not use
    long         a function over 70 lines, or a file over its size
    ratchet      what is over size today may only shrink
    leftover     work in progress: markers, debug prints, code in comments
    noun         a second word for a thing that has a name
    space        trailing blanks, tabs, no newline at the end
    name         a file named after nothing (util, helper, manager, common)
    place        a path of somebody's machine
    table        a fuzzer that the table of fuzzers does not list, a decision that the list of decisions
                 does not

What is over size and accepted for now stands in tools/tidy-ratchet.txt with the size it had; it may
shrink and never grow: `tools/tidy.py --ratchet` writes the smaller numbers.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RATCHET = Path("tools/tidy-ratchet.txt")

# What each part of src may include of the others. A part may always include itself.
ARROWS = {
    "base": [],
    "core": ["base"],
    "journal": ["base", "core/answer.h", "core/record.h", "core/policy.h", "core/limit.h"],
    "price": ["base", "core/price.h", "http/json.h"],
    "config": ["base", "core/policy.h", "core/limit.h", "price"],
    "http": ["base"],
    "client": ["base", "http"],
    "provider": ["base", "core/answer.h", "core/policy.h", "core/limit.h", "http/fields.h",
                 "http/json.h"],
    "server": ["base", "client", "core", "journal", "config", "http", "provider"],
    "gateway": ["base", "core", "journal", "config", "http", "provider", "server"],
    "mock": ["base", "config", "http"],
    "cmd": ["base", "core", "journal", "config", "http", "client", "price", "server", "gateway", "mock"],
}
# Libraries that live in certain parts alone.
LIBRARY_HOMES = {
    "sqlite3.h": ["journal"],
    "cyaml/cyaml.h": ["config"],
    "yaml.h": ["config"],
    "glib.h": ["config"],
    "uv.h": ["http", "server", "mock", "cmd", "gateway"],
    "http_parser.h": ["http"],
    "llhttp.h": ["http"],
    "curl/curl.h": ["client", "gateway"],
}
# The core includes nothing of the system but these.
CORE_HEADERS = {
    "assert.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h",
}

BANNED = {
    "sprintf": "snprintf or a struct buf", "vsprintf": "vsnprintf or a struct buf",
    "strcpy": "memcpy with a length", "strncpy": "memcpy with a length",
    "strcat": "a struct buf", "strncat": "a struct buf", "gets": "fgets",
    "atoi": "a checked reader", "atol": "a checked reader", "atoll": "a checked reader",
    "atof": "a checked reader", "sscanf": "a checked reader", "strtok": "a struct text",
    "rand": "a seed in the state", "srand": "a seed in the state", "random": "a seed in the state",
    "time": "the clock of base/clock.h", "gettimeofday": "the clock of base/clock.h",
    "localtime": "a zone's table", "gmtime": "gmtime_r", "system": "posix_spawn", "popen": "posix_spawn",
    "alloca": "a cap", "setjmp": "an error code", "longjmp": "an error code",
    "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
EXIT = {"exit", "_exit", "_Exit", "quick_exit"}

FUNCTION_MAX = 70
# The first that matches.
FILE_MAX = [("src/core/*.c", 500), ("include/*.h", 150), ("src/*.h", 150), ("src/*.c", 800),
            ("tests/*.c", 800), ("tests/*.h", 150), ("clients/*.py", 800), ("bench/*.py", 800),
            ("tests/*.py", 800), ("tools/*.py", 800)]

# One noun for one thing: the second word, where it is looked for, and the first word.
# `code` is identifiers and comments of src and include, `core` those of src/core and src/server,
# `docs` prose outside code spans. (The pretend provider speaks the providers' words.)
NOUNS = [
    (r"\bqueues?\b|_queue\b|\bqueue_|\bqueued\b", "core", "line"),
    (r"\bpermits?\b|_permit\b|\bpermit_", "code docs", "lease, or a verb such as allow"),
    (r"\breservations?\b|_reservation\b", "code docs", "lease, or reserve for a held share"),
    (r"\bquota_|_quota\b", "core", "limit"),
    (r"\brate_limits?\b|\bratelimit\b", "core", "limit"),
    (r"\bthrottl\w*", "core", "limit, or wait"),
    (r"\bcommit_usage\b|\breconcil\w*", "code docs", "settle"),
    (r"\bdeny\b|\bdenied\b|\bdenial\b", "code docs", "refuse"),
    (r"\benqueue_us\b|\bdequeue\w*", "core", "the line's own verbs"),
    (r"\bnamespaces?\b", "core", "scope"),
    (r"\bmax_wait\b|\btimeout_ms_|_msec\b|_usec\b|_millis\b", "code", "wait_us: the unit is the last word"),
]

LEFTOVERS = [
    (re.compile(r"\b(TODO|FIXME|XXX|HACK|WIP)\b"), "a marker of work left"),
    (re.compile(r'\bf?printf\((?:stderr, )?"(?:DEBUG|debug|here|HERE)\b'), "a debug print"),
    (re.compile(r"^\s*#\s*if\s+0\b"), "code that is switched off"),
    (re.compile(r"\bbreakpoint\(\)|\bpdb\.set_trace\b|\bconsole\.log\("), "a debug print"),
]
# A statement that fills a line of a comment. A header's essay may show how to call a thing: there
# the code is indented by four or more.
CODE_IN_COMMENT = re.compile(r"^\s*(?://|\*|/\*) {0,3}[\w>.\[\]-]+(?:\s*=\s*.+|\(.*\));\s*(?:\*/)?$")

# Paths that exist on one machine only. Those of every Unix (/tmp as an argument of tests) are not among them.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/[A-Za-z0-9_.]+")
NAMELESS = re.compile(r"(?:^|[_-])(?:util|utils|helper|helpers|manager|common|misc)(?:[_.-]|$)")

TEXT_SUFFIXES = {".c", ".h", ".py", ".md", ".yaml", ".yml", ".sh", ".build", ".txt", ".toml", ".sql", ".lua"}


class Finding:
    def __init__(self, path, line, rule, message):
        self.path, self.line, self.rule, self.message = str(path), line, rule, message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def matches(path, pattern):
    folder, suffix = pattern.split("*")
    return str(path).startswith(folder) and str(path).endswith(suffix)


def part_of(path):
    """The part of src a file belongs to, or None."""
    pieces = Path(path).parts
    return pieces[1] if len(pieces) > 2 and pieces[0] == "src" else None


COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def blank_comments_and_strings(source, keep_comments=False):
    """The same text, with what is in strings (and comments) made blank; lines stay where they are."""

    def replaced(match):
        return match.group(0) if keep_comments and match.group(0)[0] == "/" else blank(match.group(0))

    return COMMENT_OR_STRING.sub(replaced, source)


def comments_of(source):
    """The comments alone, everything else made blank."""
    pieces, end = [], 0
    for match in COMMENT_OR_STRING.finditer(source):
        text = match.group(0)
        pieces += [blank(source[end : match.start()]), text if text[0] == "/" else blank(text)]
        end = match.end()
    return "".join(pieces) + blank(source[end:])


# --- The rules. Each takes a path relative to the root and the file's text. ---


def rule_include(path, text):
    part = part_of(path)
    if part is None:
        return
    allowed = ARROWS.get(part)
    if allowed is None:
        yield Finding(path, 1, "include", f"src/{part} has no row in the table of arrows")
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        bracket, name = match.groups()
        if bracket == '"':
            target = name.split("/")[0]
            if target != part and target not in allowed and name not in allowed:
                yield Finding(path, number, "include", f"src/{part} may not include {name}")
        elif name in LIBRARY_HOMES and part not in LIBRARY_HOMES[name]:
            homes = ", ".join(LIBRARY_HOMES[name])
            yield Finding(path, number, "include", f"<{name}> lives in {homes} alone")
        elif part == "core" and name not in CORE_HEADERS:
            yield Finding(path, number, "include", f"the core may not include <{name}>")


def rule_banned(path, text):
    if Path(path).suffix not in (".c", ".h") or not str(path).startswith(("src/", "include/")):
        return
    may_exit = str(path).startswith("src/cmd/")
    code = blank_comments_and_strings(text)
    for number, line in enumerate(code.splitlines(), 1):
        for match in re.finditer(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(", line):
            name = match.group(1)
            if name in BANNED:
                yield Finding(path, number, "banned", f"{name}(): use {BANNED[name]}")
            elif name in EXIT and not may_exit:
                yield Finding(path, number, "banned", f"{name}(): only src/cmd ends the process")


def functions_of(text):
    """Name, first line and length of each function of a C file in the house's format."""
    lines = blank_comments_and_strings(text).splitlines()
    for number, line in enumerate(lines):
        if line.rstrip() != "{":
            continue
        end = next((i for i in range(number, len(lines)) if lines[i].rstrip() == "}"), None)
        start = number
        while start > 0 and lines[start - 1].strip() and not lines[start - 1].rstrip().endswith((";", "}")):
            start -= 1
        named = re.search(r"(\w+)\s*\(", " ".join(lines[start:number]))
        if end is not None and named:
            yield named.group(1), start + 1, end - start + 1


def python_functions_of(text):
    import ast

    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def sizes_of(path, text):
    """What is over size: (key for the ratchet, line, size, most allowed)."""
    suffix = Path(path).suffix
    most = next((size for pattern, size in FILE_MAX if matches(path, pattern)), None)
    lines = text.count("\n")
    if most and lines > most:
        yield f"{path}", 1, lines, most
    found = functions_of(text) if suffix == ".c" else python_functions_of(text) if suffix == ".py" else ()
    for name, line, length in found:
        if length > FUNCTION_MAX:
            yield f"{path}:{name}", line, length, FUNCTION_MAX


def rule_long(path, text, ratchet=None):
    for key, line, size, most in sizes_of(path, text):
        accepted = (ratchet or {}).get(key)
        if accepted is None:
            yield Finding(path, line, "long", f"{key} has {size} lines, at most {most}")
        elif size > accepted:
            yield Finding(path, line, "ratchet", f"{key} grew from {accepted} lines to {size}")


def rule_leftover(path, text):
    suffix = Path(path).suffix
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in LEFTOVERS:
            if pattern.search(line):
                yield Finding(path, number, "leftover", what)
    if suffix in (".c", ".h"):
        for number, line in enumerate(comments_of(text).splitlines(), 1):
            if CODE_IN_COMMENT.match(line):
                yield Finding(path, number, "leftover", "code in a comment")


def nouns_text(path, text):
    """The text in which a second noun counts, and the places it belongs to."""
    suffix = Path(path).suffix
    if suffix in (".c", ".h") and part_of(path):
        places = {"code", "core"} if part_of(path) in ("core", "server") else {"code"}
        return blank_comments_and_strings(text, keep_comments=True), places
    if suffix == ".md":
        fenced = re.sub(r"```.*?```", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
        return re.sub(r"`[^`\n]*`", "", fenced), {"docs"}
    return "", set()


def rule_noun(path, text):
    code, places = nouns_text(path, text)
    for number, line in enumerate(code.splitlines(), 1):
        if re.match(r"\s*#\s*include", line):
            continue
        for pattern, where, first in NOUNS:
            if places & set(where.split()):
                for match in re.finditer(pattern, line, re.I):
                    yield Finding(path, number, "noun", f"'{match.group(0)}': the word here is {first}")


def rule_space(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield Finding(path, number, "space", "blanks at the end of the line")
        if "\t" in line and Path(path).name != "Makefile":
            yield Finding(path, number, "space", "a tab")
    if text and not text.endswith("\n"):
        yield Finding(path, text.count("\n") + 1, "space", "no newline at the end of the file")


def rule_name(path, text):
    if NAMELESS.search(Path(path).name):
        yield Finding(path, 1, "name", "a file is named after the thing it holds")


def rule_place(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        match = MACHINE_PATH.search(line)
        if match:
            yield Finding(path, number, "place", f"{match.group(0)} is a path of one machine")


LISTS = [
    (r"tests/fuzz/fuzz_(\w+)\.c", "tests/fuzz/meson.build", "'{}':"),
    (r"docs/decisions/(\d{4}-[\w-]+)\.md", "docs/decisions/README.md", "({}.md)"),
]


def rule_table(path, text, lists=None):
    for pattern, list_path, entry in LISTS:
        match = re.fullmatch(pattern, str(path))
        if match and lists is not None and entry.format(match.group(1)) not in lists.get(list_path, ""):
            yield Finding(path, 1, "table", f"{list_path} does not list it")


# --- All files, and the ratchet. ---


def is_made(name):
    """Whether a directory of that name is made by a command, and not the project's."""
    return name.startswith((".git", ".venv", "venv", "build", "__pycache__")) or name.endswith((".egg-info", "_cache"))


def walked_files(root):
    """The files of a copy that came without git, or that git does not want to look at."""
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if not is_made(name)]
        yield from (str((Path(directory) / name).relative_to(root)) for name in names)


def listed_files(root):
    """What git tracks or would: works in a fresh clone, leaves build directories out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        return sorted(walked_files(root))
    return sorted(filter(None, listed))


def project_files():
    for name in listed_files(ROOT):
        path = Path(name)
        plain = path.suffix in TEXT_SUFFIXES or path.name == "Makefile" or path.parts[0] in ("scripts", ".ci")
        if plain and (ROOT / path).is_file() and not {"corpus", "cases"} & set(path.parts):
            yield path


def read_ratchet():
    file = ROOT / RATCHET
    rows = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return {row[0]: int(row[1]) for row in rows if row and not row[0].startswith("#")}


def is_itself(path):
    """This file and its samples hold what they look for."""
    return str(path) in ("tools/tidy.py", "tests/tools/test_tidy.py")


def read_lists():
    return {name: (ROOT / name).read_text() for _, name, _ in LISTS if (ROOT / name).exists()}


def check_file(path, text, ratchet=None, lists=None):
    yield from rule_include(path, text)
    yield from rule_banned(path, text)
    yield from rule_long(path, text, ratchet)
    yield from rule_space(path, text)
    yield from rule_name(path, text)
    yield from rule_table(path, text, lists)
    if not is_itself(path):
        yield from rule_leftover(path, text)
        yield from rule_noun(path, text)
        yield from rule_place(path, text)


def stale_rows(ratchet, sizes):
    """Rows of the ratchet that could be smaller: worth a word, not a failure."""
    return [key for key, accepted in sorted(ratchet.items()) if sizes.get(key, 0) < accepted]


def write_ratchet(ratchet, sizes):
    kept = {key: min(accepted, sizes[key]) for key, accepted in ratchet.items() if key in sizes}
    head = "# What is over size, and its size in lines. Rows may shrink or go, never grow or come.\n"
    rows = "".join(f"{key} {size}\n" for key, size in sorted(kept.items()))
    (ROOT / RATCHET).write_text(head + rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratchet", action="store_true", help="write the smaller sizes down")
    parser.add_argument("paths", nargs="*", help="judge these files alone")
    options = parser.parse_args()

    ratchet, lists = read_ratchet(), read_lists()
    sizes, findings, files_n = {}, [], 0
    for path in project_files():
        if options.paths and str(path) not in options.paths:
            continue
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        files_n += 1
        sizes.update({key: size for key, _, size, _ in sizes_of(path, text)})
        findings += check_file(path, text, ratchet, lists)
    if options.ratchet:
        write_ratchet(ratchet, sizes)
    elif not options.paths and stale_rows(ratchet, sizes):
        print("tidy: smaller now, write it down with --ratchet:", *stale_rows(ratchet, sizes))
    for finding in findings:
        print(finding)
    print(f"tidy: {files_n} files, {len(findings)} findings")
    return 1 if findings or files_n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
