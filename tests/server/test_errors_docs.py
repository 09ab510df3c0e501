"""docs/errors.md names every error that a request can meet, with its status and its exception."""

import re

import sluice
from conftest import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text()
TABLE = (ROOT / "src" / "base" / "error.c").read_text()

# Not told to requests: the first is no error, and the others keep the daemon from starting.
UNTOLD = {"none", "store_in_use", "store_newer", "store_damaged"}


def errors():
    found = re.findall(r'\[ERR_\w+\] =\s*\{"(\w+)", (\d+),', TABLE)
    assert len(found) > 20
    return [(code, status) for code, status in found if code not in UNTOLD]


def row_of(code):
    return next((line for line in PAGE.splitlines() if line.startswith("|") and f"`{code}`" in line.split("|")[1]), "")


def test_every_error_has_a_row_with_its_status():
    assert [code for code, status in errors() if status not in row_of(code).split("|", 3)[2]] == []


def test_every_exception_stands_beside_its_code():
    wrong = []
    for code, _ in errors():
        name = "".join(word.capitalize() for word in code.split("_"))
        if hasattr(sluice, name) and f"| `{name}` |" not in row_of(code):
            wrong.append(name)
    assert wrong == []
