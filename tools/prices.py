#!/usr/bin/env python3
"""Makes the built-in table of prices: reads data/prices.csv, writes a C file.

    tools/prices.py CSV C_FILE

Every price is kept exact, as whole picodollars a token; what cannot be is an error, as is everything else that is not
right with a row. The reader at run time (src/price/table.c) is another one; a test holds the two together.
"""

import csv
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

PRICE_MAX = 10**12
TOKENS_MAX = 10**12
PARTS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"]  # in the order of enum part
COLUMNS = {"provider", "model", "context_window", "tier_start_tokens"} | set(PARTS) | {f"{part}_over" for part in PARTS}
REQUIRED = {"provider", "model", "input"}


class BadRow(Exception):
    pass


def whole(text, scale, most, what):
    """The number times the scale, which must come out whole."""
    try:
        number = Decimal(text) * scale
    except InvalidOperation:
        raise BadRow(f"{what}: {text!r} is not a number") from None
    if not number.is_finite() or number != int(number) or not 0 <= number <= most:
        raise BadRow(f"{what}: {text!r} is out of range, or not whole picodollars a token")
    return int(number)


def price_of(row, column):
    text = row.get(column) or ""
    return whole(text, 10**6, PRICE_MAX, column) if text else -1


def tokens_of(row, column):
    text = row.get(column) or ""
    return whole(text, 1, TOKENS_MAX, column) if text else 0


def quoted(name, what):
    if not name or len(name.encode()) > 128 or any(ord(c) < 0x20 or c in '"\\,\x7f' for c in name):
        raise BadRow(f"{what}: {name!r} is not a name")
    return f'"{name}"'


def convert(row):
    if None in row or None in row.values():
        raise BadRow("not as many fields as columns")
    if not row["input"]:
        raise BadRow("input: nothing is given")
    provider, model = quoted(row["provider"], "provider"), quoted(row["model"], "model")
    context, start = tokens_of(row, "context_window"), tokens_of(row, "tier_start_tokens")
    base = [price_of(row, part) for part in PARTS]
    over = [price_of(row, f"{part}_over") for part in PARTS]
    if (start > 0) != (over[0] >= 0):
        raise BadRow("tier_start_tokens and input_over go together")

    def braces(prices):
        return "{" + ", ".join(str(price) for price in prices) + "}"

    return f"    {{{provider}, {model}, {context}, {braces(base)}, {start}, {braces(over)}}},\n"


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        unknown, missing = set(names) - COLUMNS, REQUIRED - set(names)
        if unknown or missing or len(set(names)) != len(names):
            raise BadRow(f"1: columns: unknown {sorted(unknown)}, missing {sorted(missing)}, or one twice")
        rows, seen = [], set()
        for row in reader:
            try:
                rows.append(convert(row))
                key = (row["provider"], row["model"])
                if key in seen:
                    raise BadRow(f"{key[1]} of {key[0]} is there twice")
                seen.add(key)
            except BadRow as problem:
                raise BadRow(f"{reader.line_num}: {problem}") from None
        if not rows:
            raise BadRow("1: no rows")
        return rows


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    try:
        rows = read(source)
    except BadRow as problem:
        sys.exit(f"{source}:{problem}")
    Path(target).write_text(
        "/* Made from data/prices.csv by tools/prices.py. */\n"
        '#include "price/table.h"\n\n'
        "static const struct price_row rows[] = {\n" + "".join(rows) + "};\n\n"
        'const struct price_table price_table_builtin = {"genai-prices, November 2026", rows,\n'
        "                                                sizeof(rows) / sizeof(rows[0])};\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
