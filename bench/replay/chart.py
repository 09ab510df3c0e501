"""Outcomes as a drawing: the share of the quota in use over time, and every refusal."""

from replay.report import TITLES

WIDTH = 960
LEFT = 300
RIGHT = 28
TOP = 66
ROW = 104
PLOT = 66
BOTTOM = 58

STYLE = """
    .paper { fill: #ffffff }
    .h { font-weight: 600; fill: #17324a }
    .t { fill: #3c4f60 }
    .s { fill: #5d7183; font-size: 12px }
    .grid { stroke: #dfe8f0; stroke-width: 1 }
    .limit { stroke: #8ba0b2; stroke-width: 1; stroke-dasharray: 4 3 }
    .used { fill: #2f6f9f; fill-opacity: 0.25; stroke: #2f6f9f; stroke-width: 1.5 }
    .ours { fill: #2b8a57; fill-opacity: 0.25; stroke: #2b8a57; stroke-width: 1.5 }
    .no { stroke: #c0392b; stroke-width: 1.4 }
    .bad { fill: #c0392b; font-weight: 600 }
    .good { fill: #2b8a57; font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #10171e }
      .h { fill: #e4edf5 } .t { fill: #c3d0dc } .s { fill: #93a5b5 }
      .grid { stroke: #2a3845 } .limit { stroke: #5d7183 }
    }"""


def _text(x, y, kind, words, anchor="start"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{words}</text>'


class _Chart:
    def __init__(self, outcomes):
        self.outcomes = outcomes
        self.minutes = max(outcome.drain_s for outcome in outcomes) / 60
        self.height = TOP + ROW * len(outcomes) + BOTTOM
        self.parts = []

    def x(self, minute):
        return LEFT + minute / self.minutes * (WIDTH - LEFT - RIGHT)

    def add(self, part):
        self.parts.append("  " + part)

    def axis(self):
        bottom = TOP + ROW * len(self.outcomes)
        for minute in range(0, int(self.minutes) + 1, 2):
            x = self.x(minute)
            self.add(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom - 12}" class="grid"/>')
            self.add(_text(x, bottom + 6, "s", str(minute), "middle"))
        self.add(_text(WIDTH - RIGHT, bottom + 24, "s", "minutes of the provider's time", "end"))

    def facts(self, outcome, y):
        self.add(_text(20, y + 12, "h", TITLES[outcome.way]))
        kind = "bad" if outcome.refused else "good"
        lost = f", {outcome.lost:,} lost" if outcome.lost else ", none lost"
        self.add(_text(20, y + 32, kind, f"{outcome.refused:,} refused{lost}"))
        self.add(_text(20, y + 50, "s", f"{outcome.used_share:.1%} of the quota used while a line stood"))
        self.add(_text(20, y + 66, "s", f"wait {outcome.wait_p50_s:.0f} s median, {outcome.wait_p99_s:.0f} s 99th"))

    def plot(self, outcome, y):
        floor = y + PLOT
        points = " ".join(
            f"{self.x(minute):.1f},{floor - share * PLOT:.1f}"
            for minute, share in outcome.curve
            if minute <= self.minutes
        )
        last = min(outcome.curve[-1][0], self.minutes)
        kind = "ours" if outcome.way == "sluice" else "used"
        self.add(
            f'<polygon points="{self.x(0):.1f},{floor} {points} {self.x(last):.1f},{floor}" class="{kind}"/>'
        )
        self.add(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" class="limit"/>')
        if outcome.refusals:
            marks = "".join(
                f"M{self.x(minute):.1f} {floor + 2}v{min(14, 3 + n / 2):.1f}" for minute, n in outcome.refusals
            )
            self.add(f'<path d="{marks}" class="no"/>')

    def draw(self, scene):
        self.add(f'<rect width="{WIDTH}" height="{self.height}" class="paper"/>')
        self.add(_text(20, 28, "h", "The same ten minutes of traffic, four ways"))
        words = (
            f"Share of {scene.tpm // 1000}k tokens a minute in use (dashed: all of it); "
            "red: calls the provider refused. Eight processes, one key."
        )
        self.add(_text(20, 47, "s", words))
        self.axis()
        for i, outcome in enumerate(self.outcomes):
            self.facts(outcome, TOP + ROW * i)
            self.plot(outcome, TOP + ROW * i)
        source = "Trace: AzureLLMInferenceTrace_conv, Microsoft, CC-BY 4.0. Provider: sluice mock, profile openai."
        self.add(_text(20, self.height - 12, "s", source))
        return "\n".join(self.parts)


def draw(outcomes, scene):
    """An SVG of all outcomes, one above the other."""
    chart = _Chart(outcomes)
    body = chart.draw(scene)
    described = "; ".join(f"{TITLES[o.way]}: {o.refused} refused, {o.lost} lost" for o in outcomes)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {chart.height}" \
font-family="ui-sans-serif, system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title desc">
  <title id="title">Ten minutes of recorded traffic against a strict provider, four ways</title>
  <desc id="desc">{described}</desc>
  <style>{STYLE}
  </style>
{body}
</svg>
"""
