"""Outcomes as a drawing: the share of the quota in use over time, and every refusal."""

from replay.drawing import LEFT, PLOT, RIGHT, ROW, WIDTH, Drawing, text
from replay.report import TITLES


class _Chart(Drawing):
    def __init__(self, outcomes):
        super().__init__(outcomes, max(outcome.drain_s for outcome in outcomes) / 60, top=66, bottom=58)

    def axis(self):
        for minute in range(0, int(self.minutes) + 1, 2):
            x = self.x(minute)
            self.add(f'<line x1="{x:.1f}" y1="{self.top - 8}" x2="{x:.1f}" y2="{self.end - 12}" class="grid"/>')
            self.add(text(x, self.end + 6, "s", str(minute), "middle"))
        self.add(text(WIDTH - RIGHT, self.end + 24, "s", "minutes of the provider's time", "end"))

    def strip(self, outcome, y):
        lost = f", {outcome.lost:,} lost" if outcome.lost else ", none lost"
        self.facts(
            y,
            TITLES[outcome.way],
            "bad" if outcome.refused else "good",
            f"{outcome.refused:,} refused{lost}",
            f"{outcome.used_share:.1%} of the quota used while a line stood",
            f"wait {outcome.wait_p50_s:.0f} s median, {outcome.wait_p99_s:.0f} s 99th",
        )
        floor = y + PLOT
        curve = [(minute, floor - share * PLOT) for minute, share in outcome.curve if minute <= self.minutes]
        self.area(outcome.way, floor, curve, 0, min(outcome.curve[-1][0], self.minutes))
        self.add(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" class="limit"/>')
        self.marks((minute, floor + 2, min(14, 3 + n / 2)) for minute, n in outcome.refusals)

    def draw(self, scene):
        self.heads(
            "The same ten minutes of traffic, four ways",
            f"Share of {scene.tpm // 1000}k tokens a minute in use (dashed: all of it); "
            "red: calls the provider refused. Eight processes, one key.",
        )
        self.axis()
        for i, outcome in enumerate(self.outcomes):
            self.strip(outcome, self.top + ROW * i)
        self.source(self.height - 12)


def draw(outcomes, scene):
    """An SVG of all outcomes, one above the other."""
    chart = _Chart(outcomes)
    chart.draw(scene)
    described = "; ".join(f"{TITLES[o.way]}: {o.refused} refused, {o.lost} lost" for o in outcomes)
    return chart.svg("Ten minutes of recorded traffic against a strict provider, four ways", described)
