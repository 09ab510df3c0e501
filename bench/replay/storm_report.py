"""What came of the stormy hour, as a table and as a drawing."""

from replay.chart import STYLE

TITLES = {
    "sdk": "SDK's retries",
    "tenacity": "tenacity, then a fallback model",
    "sluice": "Sluice, client.call",
}

WIDTH = 960
LEFT = 300
RIGHT = 28
TOP = 84
ROW = 104
PLOT = 66
BOTTOM = 46


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
    return (
        f"Every sixth call of Azure's conversation trace, {len(calls):,} calls in an hour, against "
        f"{storm.tpm / 1000:,.0f}k tokens and {storm.rpm:,} requests a minute.\n"
        f"{troubles[0].upper() + troubles[1:]}.\n"
        f"From minute {storm.runaway[0]} to {storm.runaway[1]} one session runs away; each has "
        f"${storm.budget_usd:.2f}. Nobody waits longer than {storm.patience_min:.0f} minutes. "
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


def _text(x, y, kind, words, anchor="start"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{words}</text>'


class _Drawing:
    def __init__(self, outcomes, storm):
        self.outcomes = outcomes
        self.storm = storm
        self.minutes = max(outcome.steps[-1][0] for outcome in outcomes)
        self.most = max(came for outcome in outcomes for _, came, _, _ in outcome.steps)
        self.height = TOP + ROW * len(outcomes) + BOTTOM
        self.parts = []

    def x(self, minute):
        return LEFT + minute / self.minutes * (WIDTH - LEFT - RIGHT)

    def add(self, part):
        self.parts.append("  " + part)

    def troubles(self):
        bottom = TOP + ROW * len(self.outcomes) - 12
        for trouble in self.storm.troubles:
            x, end = self.x(trouble.begin_min), self.x(trouble.end_min)
            self.add(
                f'<rect x="{x:.1f}" y="{TOP - 10}" width="{end - x:.1f}" height="{bottom - TOP + 10}" class="trouble"/>'
            )
            self.add(_text((x + end) / 2, TOP - 16, "s", trouble.name, "middle"))
        for minute in range(0, int(self.minutes) + 1, 10):
            self.add(_text(self.x(minute), bottom + 18, "s", str(minute), "middle"))
        self.add(_text(WIDTH - RIGHT, bottom + 36, "s", "minutes of the provider's time", "end"))

    def facts(self, outcome, y):
        good = "good" if outcome.lost == 0 and outcome.over_usd == 0 else "bad"
        self.add(_text(20, y + 12, "h", TITLES[outcome.way]))
        lost = f"{outcome.lost:,} lost" if outcome.lost else "none lost"
        self.add(_text(20, y + 32, good, f"{lost}, ${outcome.over_usd:.2f} over budget"))
        self.add(_text(20, y + 50, "s", f"{outcome.wasted_share:.1%} of {outcome.sent:,} calls in vain"))
        fell = f", {outcome.fallback:,} fell back" if outcome.fallback else ""
        self.add(_text(20, y + 66, "s", f"wait {outcome.wait_p50_s:.0f} s median{fell}"))

    def plot(self, outcome, y):
        floor = y + PLOT
        kind = "ours" if outcome.way == "sluice" else "used"
        points = [(self.x(minute), floor - served / self.most * PLOT) for minute, _, served, _ in outcome.steps]
        line = " ".join(f"{x:.1f},{top:.1f}" for x, top in points)
        self.add(f'<polygon points="{points[0][0]:.1f},{floor} {line} {points[-1][0]:.1f},{floor}" class="{kind}"/>')
        marks = "".join(
            f"M{self.x(minute):.1f} {floor}v{-lost / self.most * PLOT:.1f}" for minute, _, _, lost in outcome.steps if lost
        )
        if marks:
            self.add(f'<path d="{marks}" class="no"/>')

    def draw(self):
        self.add(f'<rect width="{WIDTH}" height="{self.height}" class="paper"/>')
        self.add(_text(20, 28, "h", "A stormy hour, three ways"))
        self.add(_text(20, 47, "s", "Calls served within 15 s of their coming, each quarter of a minute; red: lost."))
        self.troubles()
        for i, outcome in enumerate(self.outcomes):
            self.facts(outcome, TOP + ROW * i)
            self.plot(outcome, TOP + ROW * i)
        source = "Trace: AzureLLMInferenceTrace_conv, Microsoft, CC-BY 4.0. Provider: sluice mock, profile openai."
        self.add(_text(20, self.height - 10, "s", source))
        return "\n".join(self.parts)


def draw_storm(outcomes, storm):
    """An SVG of all outcomes, one above the other."""
    drawing = _Drawing(outcomes, storm)
    body = drawing.draw()
    described = "; ".join(
        f"{TITLES[o.way]}: {o.lost} lost, {o.wasted_share:.1%} of the calls in vain" for o in outcomes
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {drawing.height}" \
font-family="ui-sans-serif, system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title desc">
  <title id="title">A stormy hour against a strict provider, three ways</title>
  <desc id="desc">{described}</desc>
  <style>{STYLE}
    .trouble {{ fill: #8ba0b2; fill-opacity: 0.14 }}
  </style>
{body}
</svg>
"""
