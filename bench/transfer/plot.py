"""Bars on a logarithmic scale, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 860, 250, 90
BAR, GAP, TOP, BOTTOM = 13, 12, 44, 26
COLOURS = ("#9aa5b1", "#5b84b1", "#d9622b")


@dataclass(frozen=True)
class Bar:
    """One bar: `hollow` ones are computed and not measured; None is no bar."""

    value: float | None
    hollow: bool = False


@dataclass(frozen=True)
class Group:
    """Bars under one name, one for each series."""

    name: str
    bars: tuple[Bar, ...]


def bars(title: str, series: Sequence[str], groups: Sequence[Group], words: Callable[[float], str]) -> str:
    """The picture; values are above 0, and `words` says one."""
    values = [bar.value for group in groups for bar in group.bars if bar.value]
    low, high = _decades(values)
    height = TOP + len(groups) * (len(series) * BAR + GAP) + BOTTOM
    parts = [_text(8, 17, title, "font-weight='bold'"), *_legend(series)]
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        parts.append(f"<path d='M{x:.1f} {TOP - 4}V{height - BOTTOM + 4}' stroke='#ddd'/>")
        parts.append(_text(x, height - 8, words(10.0**power), "text-anchor='middle' fill='#666'"))
    y = TOP
    for group in groups:
        parts.append(_text(LEFT - 8, y + len(series) * BAR / 2 + 4, group.name, "text-anchor='end'"))
        for bar, colour in zip(group.bars, COLOURS, strict=False):
            parts += _bar(bar, y, colour, _x(bar.value or 1.0, low, high), words)
            y += BAR
        y += GAP
    box = f"viewBox='0 0 {WIDTH} {height}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {box} font-family='sans-serif' font-size='11'>"
    return "\n".join([head, f"<rect width='{WIDTH}' height='{height}' fill='white'/>", *parts, "</svg>"]) + "\n"


def _bar(bar: Bar, y: float, colour: str, x: float, words: Callable[[float], str]) -> list[str]:
    if not bar.value:
        return []
    paint = f"fill='white' stroke='{colour}'" if bar.hollow else f"fill='{colour}'"
    rect = f"<rect x='{LEFT}' y='{y + 1}' width='{max(1.0, x - LEFT):.1f}' height='{BAR - 2}' {paint}/>"
    return [rect, _text(x + 4, y + BAR - 3, words(bar.value), "fill='#333'")]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all values, at least one apart."""
    if not values:
        return 0, 1
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _x(value: float, low: int, high: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low) / (high - low)


def _legend(series: Sequence[str]) -> list[str]:
    parts, x = [], 8.0
    for name, colour in zip(series, COLOURS, strict=False):
        parts += [f"<rect x='{x}' y='25' width='10' height='10' fill='{colour}'/>", _text(x + 14, 34, name, "")]
        x += 30 + 6.2 * len(name)
    return parts


def _text(x: float, y: float, text: str, more: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>"
