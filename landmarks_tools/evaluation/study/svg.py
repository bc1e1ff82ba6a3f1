"""Writes small SVG figures: the same bytes for the same figure, and no scripts.

Colours are named by class, so that inside the page they follow its light or dark scheme; a
figure in its own file has a light background.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

# Legible on light and dark backgrounds.
COLOURS = (
    "#d9534f", "#4a90d9", "#3fa34d", "#e08a1e", "#8e6fd1",
    "#1f9e9e", "#c9568f", "#9a7b2f", "#7d8794", "#a0622d",
)  # fmt: skip
# Corners of each mark, equal in area to a circle of radius 1; the first mark is that circle.
_MARKS: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)),
    ((0.0, -1.45), (1.26, 0.75), (-1.26, 0.75)),
    ((0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)),
    ((0.0, 1.45), (1.26, -0.75), (-1.26, -0.75)),
    ((-0.5, -1.35), (0.5, -1.35), (0.5, -0.5), (1.35, -0.5), (1.35, 0.5), (0.5, 0.5),
     (0.5, 1.35), (-0.5, 1.35), (-0.5, 0.5), (-1.35, 0.5), (-1.35, -0.5), (-0.5, -0.5)),
)  # fmt: skip
MARKS = len(COLOURS) * len(_MARKS)  # before they repeat

_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#22252a}
.paper{fill:#fff}.axis{stroke:#888e96;fill:none}.grid{stroke:#888e96;stroke-opacity:.25;fill:none}
.ring{stroke:#22252a;stroke-width:1.1;fill:none}.faint{fill:#5d636b}
.label{paint-order:stroke;stroke:#fff;stroke-width:3.5px;stroke-linejoin:round;font-weight:600}
"""


@dataclass(frozen=True)
class SvgFigure:
    """A figure: its size in pixels, title, description and elements.

    Without a title it is decorative, and screen readers skip it.
    """

    width: int
    height: int
    title: str
    description: str
    body: str

    @property
    def inline(self) -> str:
        """The figure for a page that has styles for its classes."""
        role = f'role="img" aria-label="{escape(self.alt)}"' if self.title else 'aria-hidden="true"'
        return (
            f'<svg class="fig" {role} viewBox="0 0 {self.width} {self.height}"'
            f' style="--w:{self.width}px">{self.body}</svg>'
        )

    @property
    def file(self) -> str:
        """The figure as a file of its own."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}"'
            f' viewBox="0 0 {self.width} {self.height}" role="img"'
            f' aria-label="{escape(self.alt)}"><style>{_STYLE}</style>'
            f'<rect class="paper" width="100%" height="100%"/>{self.body}</svg>\n'
        )

    @property
    def alt(self) -> str:
        """The alternative text."""
        return f"{self.title}. {self.description}".strip()


def mark(index: int, x: float, y: float, size: float) -> str:
    """Return the mark of the `index`-th item, without a colour."""
    corners = _MARKS[index // len(COLOURS) % len(_MARKS)]
    if not corners:
        return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(size)}"/>'
    places = " ".join(f"{number(x + size * dx)},{number(y + size * dy)}" for dx, dy in corners)
    return f'<polygon points="{places}"/>'


def titled(element: str, title: str) -> str:
    """Return a mark with a title that is shown on hovering."""
    name = element[1:].split(" ", 1)[0]
    return f"{element[:-2]}><title>{escape(title)}</title></{name}>"


def colour(index: int) -> str:
    """Return the colour of the `index`-th item."""
    return COLOURS[index % len(COLOURS)]


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    """Return a line of text at its baseline."""
    style = f' class="{kind}"' if kind else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{number(x)}" y="{number(y)}"{style}{where}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str = "", stroke: str = "") -> str:
    """Return a straight line, of a class or of a colour."""
    look = f' class="{kind}"' if kind else f' stroke="{stroke}" stroke-width="1.6"'
    ends = " ".join(
        f'{name}="{number(value)}"'
        for name, value in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2))
    )
    return f"<line {ends}{look}/>"


def number(value: float) -> str:
    """Return a coordinate to a tenth of a pixel, in the shortest form."""
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short
