"""What came of the stormy hour, as a table and as a drawing."""

from replay.drawing import PLOT, RIGHT, ROW, WIDTH, Drawing, text

TITLES = {
    "sdk": "SDK's retries",
    "tenacity": "tenacity, then a fallback model",
    "sluice": "Sluice, client.call",
}

def _recovered(seconds):
    return "not before the next" if seconds is None else f"{seconds:.0f} s"


def _row(outcome):
    return (
        TITLES[outcome.way],
        f"{outcome.lost:,}",
        f"{outcome.fallback:,}",
        f"{outcome.kept_back:,}",
        f"{outcome.wasted:,} of {outcome.sent:,}",
        f"{outcome.wasted_share:.2%}",
        f"${outcome.over_usd:.2f}",
        f"{outcome.wait_p50_s:.1f} s",
        f"{outcome.wait_p99_s:.1f} s",
        *(_recovered(seconds) for seconds in outcome.recovery_s),
    )


def storm_table(outcomes, storm):
    heads = ("", "lost", "fell back", "kept back by the budget", "wasted calls", "share", "over budget", "wait p50", "wait p99")
    heads += tuple(f"after {trouble.name}" for trouble in storm.troubles)
    columns = list(zip(heads, *(_row(outcome) for outcome in outcomes), strict=True))
    widths = [max(len(cell) for cell in row) for row in zip(*columns, strict=True)]
    lines = []
    for column in columns:
        cells = [column[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(column[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def storm_setting(calls, storm):
    troubles = "; ".join(f"minutes {t.begin_min} to {t.end_min}: {t.name}" for t in storm.troubles)
    away = " and ".join(f"{r.begin_min} to {r.end_min}" for r in storm.runaways)
    return (
        f"Every sixth call of Azure's conversation trace, {len(calls):,} calls in an hour, against "
        f"{storm.tpm / 1000:,.0f}k tokens and {storm.rpm:,} requests a minute.\n"
        f"{troubles[0].upper() + troubles[1:]}.\n"
        f"Minutes {away}: a session runs away; each has ${storm.budget_usd:.2f}. Nobody waits longer than {storm.patience_min:.0f} minutes. "
        f"The hour is compressed {storm.factor:.0f} times."
    )


def storm_losses(outcomes):
    """What lost calls met, a line for each kind; and which of the wasted calls nobody could have spared."""
    lines = []
    for outcome in outcomes:
        kinds = {}
        for words, number in outcome.errors.items():
            kind = words.split(":")[0]
            kinds[kind] = kinds.get(kind, 0) + number
        for kind, number in sorted(kinds.items()):
            lines.append(f"{TITLES[outcome.way]} lost {number:,} to {kind}.\n")
        if outcome.way == "sluice" and outcome.caught:
            lines.append(f"Of its wasted calls {outcome.caught:,} were on their way before any answer told of a trouble.\n")
    return "".join(lines)


class _Hour(Drawing):
    def __init__(self, outcomes, storm):
        super().__init__(outcomes, max(outcome.steps[-1][0] for outcome in outcomes), top=84, bottom=46)
        self.storm = storm
        self.most = max(came for outcome in outcomes for _, came, _, _ in outcome.steps)

    def troubles(self):
        bottom = self.end - 12
        for trouble in self.storm.troubles:
            x, end = self.x(trouble.begin_min), self.x(trouble.end_min)
            self.add(
                f'<rect x="{x:.1f}" y="{self.top - 10}" width="{end - x:.1f}" height="{bottom - self.top + 10}" class="trouble"/>'
            )
            self.add(text((x + end) / 2, self.top - 16, "s", trouble.name, "middle"))
        for minute in range(0, int(self.minutes) + 1, 10):
            self.add(text(self.x(minute), bottom + 18, "s", str(minute), "middle"))
        self.add(text(WIDTH - RIGHT, bottom + 36, "s", "minutes of the provider's time", "end"))

    def strip(self, outcome, y):
        lost = f"{outcome.lost:,} lost" if outcome.lost else "none lost"
        fell = f", {outcome.fallback:,} fell back" if outcome.fallback else ""
        self.facts(
            y,
            TITLES[outcome.way],
            "good" if outcome.lost == 0 and outcome.over_usd == 0 else "bad",
            f"{lost}, ${outcome.over_usd:.2f} over budget",
            f"{outcome.wasted_share:.1%} of {outcome.sent:,} calls in vain",
            f"wait {outcome.wait_p50_s:.0f} s median{fell}",
        )
        floor = y + PLOT
        served = [(minute, floor - served / self.most * PLOT) for minute, _, served, _ in outcome.steps]
        self.area(outcome.way, floor, served, served[0][0], served[-1][0])
        self.marks((minute, floor, -lost / self.most * PLOT) for minute, _, _, lost in outcome.steps if lost)

    def draw(self):
        self.heads(
            "A stormy hour, three ways",
            "Calls served within 15 s of their coming, each quarter of a minute; red: lost.",
        )
        self.troubles()
        for i, outcome in enumerate(self.outcomes):
            self.strip(outcome, self.top + ROW * i)
        self.source(self.height - 10)


def draw_storm(outcomes, storm):
    """An SVG of all outcomes, one above the other."""
    hour = _Hour(outcomes, storm)
    hour.draw()
    described = "; ".join(
        f"{TITLES[o.way]}: {o.lost} lost, {o.wasted_share:.1%} of the calls in vain" for o in outcomes
    )
    return hour.svg(
        "A stormy hour against a strict provider, three ways",
        described,
        "\n    .trouble { fill: #8ba0b2; fill-opacity: 0.14 }",
    )
