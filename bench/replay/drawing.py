"""What drawings of outcomes share: the paper, a strip for each way, and the axis of minutes."""

WIDTH = 960
LEFT = 300
RIGHT = 28
ROW = 104
PLOT = 66

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



def text(x, y, kind, words, anchor="start"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{words}</text>'


class Drawing:
    """A strip for each outcome, one above the other, `top` below the upper edge and `bottom` above the lower one."""

    def __init__(self, outcomes, minutes, top, bottom):
        self.outcomes = outcomes
        self.minutes = minutes
        self.top = top
        self.end = top + ROW * len(outcomes)
        self.height = self.end + bottom
        self.parts = []

    def x(self, minute):
        return LEFT + minute / self.minutes * (WIDTH - LEFT - RIGHT)

    def add(self, part):
        self.parts.append("  " + part)

    def heads(self, title, words):
        self.add(f'<rect width="{WIDTH}" height="{self.height}" class="paper"/>')
        self.add(text(20, 28, "h", title))
        self.add(text(20, 47, "s", words))

    def facts(self, y, title, kind, loss, *more):
        """What is said beside a strip: its way's name, what was lost, and two lines more."""
        self.add(text(20, y + 12, "h", title))
        self.add(text(20, y + 32, kind, loss))
        for i, words in enumerate(more):
            self.add(text(20, y + 50 + 16 * i, "s", words))

    def area(self, way, floor, curve, begin, end):
        """What lies between a curve and the floor, from one minute to another."""
        points = [(self.x(begin), floor), *((self.x(minute), y) for minute, y in curve), (self.x(end), floor)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.add(f'<polygon points="{line}" class="{"ours" if way == "sluice" else "used"}"/>')

    def marks(self, marks):
        """Red strokes of (minute, y, length)."""
        path = "".join(f"M{self.x(minute):.1f} {y}v{length:.1f}" for minute, y, length in marks)
        if path:
            self.add(f'<path d="{path}" class="no"/>')

    def source(self, y):
        words = "Trace: AzureLLMInferenceTrace_conv, Microsoft, CC-BY 4.0. Provider: sluice mock, profile openai."
        self.add(text(20, y, "s", words))

    def svg(self, title, described, style=""):
        body = "\n".join(self.parts)
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" \
font-family="ui-sans-serif, system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title desc">
  <title id="title">{title}</title>
  <desc id="desc">{described}</desc>
  <style>{STYLE}{style}
  </style>
{body}
</svg>
"""
