"""A scenario's curve as a picture, for the documentation."""

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from simulators.plan import FleetPlan

WIDTH, HEIGHT = 720, 180
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 12, 24
SAMPLES = 480
MOST_TICKS = 8
TICK_S = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400)
CLOCK_S = 86_400


def curve_svg(title: str, plan: "FleetPlan") -> str:
    """Events per second, by the clock, over the run's time of day. The same plan, the same text."""
    rates = [plan.rate_at((n + 0.5) * plan.wall_s / SAMPLES) for n in range(SAMPLES)]
    peak = max(rates)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP
    points = [
        f"{LEFT + wide * (n + 0.5) / SAMPLES:.1f},{TOP + high * (1 - rate / peak):.1f}"
        for n, rate in enumerate(rates)
    ]
    base = HEIGHT - BOTTOM
    area = f"{LEFT},{base} {' '.join(points)} {LEFT + wide},{base}"
    label = 'font-family="sans-serif" font-size="11" fill="#57606a"'
    ticks = "\n".join(
        f'<text x="{LEFT + wide * at_s / plan.duration_s:.0f}" y="{HEIGHT - 8}"'
        f' text-anchor="middle" {label}>'
        f"{clock(plan.curve.starts_at_s + at_s, last=at_s == plan.duration_s)}</text>"
        for at_s in tick_times(plan.duration_s)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>{escape(title)}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<polygon points="{area}" fill="#0969da" fill-opacity="0.2"/>
<polyline points="{" ".join(points)}" fill="none" stroke="#0969da" stroke-width="1.5"/>
<line x1="{LEFT}" y1="{base}" x2="{LEFT + wide}" y2="{base}" stroke="#8c959f"/>
<text x="{LEFT - 6}" y="{TOP + 8}" text-anchor="end" {label}>{peak:.3g}</text>
<text x="{LEFT - 6}" y="{TOP + 22}" text-anchor="end" {label}>events/s</text>
<text x="{LEFT - 6}" y="{base}" text-anchor="end" {label}>0</text>
{ticks}
</svg>
"""


def tick_times(duration_s: float) -> list[float]:
    """Return the seconds after the start that the axis names: round steps, and not too many."""
    fitting = (step for step in TICK_S if duration_s / step <= MOST_TICKS)
    step = next(fitting, duration_s / MOST_TICKS)
    return [step * n for n in range(int(duration_s // step) + 1)]


def clock(seconds: float, *, last: bool) -> str:
    """Time of day, as "11:30"; a midnight at the end of the axis is "24:00"."""
    within = CLOCK_S if last and seconds == CLOCK_S else seconds % CLOCK_S
    return f"{int(within // 3600):02d}:{int(within % 3600 // 60):02d}"
