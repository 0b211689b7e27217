"""The layout of a call graph in layers: callers left of what they call, each function once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrations.reading.flows import CallGraph, Edge

BOX_WIDTH, BOX_HEIGHT = 220, 40
GAP_X, GAP_Y = 110, 14
MARGIN = 8
NAME_CHARACTERS = 26  # of a name in its box; the whole is in the list beside the drawing
FAILING = 0.05  # of the calls, from which on an edge is drawn as failing


@dataclass(frozen=True, slots=True)
class Box:
    """A function."""

    x: int
    y: int
    name: str
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """Calls: a path from a box to another, and where its label stands."""

    path: str
    label: str
    label_x: int
    label_y: int
    is_failing: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing and its size."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[Line]


Node = tuple[str, str]
"""Kind and name."""


def draw(graph: CallGraph) -> Drawing:
    """Lay the graph out."""
    layers = _layers(graph)
    columns = defaultdict(list)
    for node, layer in layers.items():
        columns[layer].append(node)
    tallest = max(len(nodes) for nodes in columns.values())
    height = tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y
    boxes: dict[Node, Box] = {}
    for layer, nodes in columns.items():
        free = height - (len(nodes) * (BOX_HEIGHT + GAP_Y) - GAP_Y)
        for index, (kind, name) in enumerate(nodes):
            y = MARGIN + free // 2 + index * (BOX_HEIGHT + GAP_Y)
            label = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
            boxes[kind, name] = Box(MARGIN + layer * (BOX_WIDTH + GAP_X), y, name, label, kind)
    width = (max(columns) + 1) * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    lines = [_line(boxes["orchestrator", edge.caller], boxes[edge.kind, edge.name], edge) for edge in graph.edges]
    return Drawing(width, height + 2 * MARGIN, list(boxes.values()), lines)


def _layers(graph: CallGraph) -> dict[Node, int]:
    """How far each function is from the root, in the order in which the edges name them."""
    layers: dict[Node, int] = {("orchestrator", graph.root): 0}
    for edge in graph.edges:  # breadth first, so that a caller comes before its edges
        layers.setdefault((edge.kind, edge.name), layers["orchestrator", edge.caller] + 1)
    return layers


def _line(start: Box, end: Box, edge: Edge) -> Line:
    x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2
    x2, y2 = end.x, end.y + BOX_HEIGHT // 2
    if end.x <= start.x:  # back to its own layer or an earlier one
        x2 = end.x + BOX_WIDTH
        bend = max(x1, x2) + GAP_X // 2
        path = f"M{x1} {y1} C{bend} {y1} {bend} {y2 + 8} {x2} {y2 + 8}"
        label_x, label_y = bend, (y1 + y2) // 2
    else:
        middle = (x1 + x2) // 2
        path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
        label_x, label_y = x2 - 8, y2 - 6
    return Line(path, f"{edge.calls:,}×", label_x, label_y, edge.failure_rate >= FAILING)
