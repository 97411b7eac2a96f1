"""Tables for people: nothing of a cell is ever cut.

In: heads, which of them hold texts, and rows that may hold what a remote wrote. Out: what a TextConsole
prints. On a terminal what names a thing (ids, numbers, states, times) stands whole or is folded, and texts
wrap: beside their row, below it where that leaves them too little room, and field by field where not even the
names fit. Elsewhere a row is a line, its cells divided by tabs. Nothing fails. Called by cli.
docs/decisions/tables-that-cut-nothing.md says why these are not rich's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from plain_text import line

# Cells between two columns, and before a text below its row.
GAP = 2
# A text with less room beside its row stands below it.
LEAST_TEXT = 32
# A name is folded into no less: a time, the longest that is to stand on one line, just fits.
LEAST_NAME = 25


class Table:
    """Rows under heads; those of `texts` are sentences and lists of words, the others name things."""

    def __init__(self, *heads: str, texts: Collection[str] = ()) -> None:
        self._heads = heads
        self._texts = [at for at, head in enumerate(heads) if head in texts]
        self._names = [at for at, head in enumerate(heads) if head not in texts]
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text) -> None:
        """A cell for each head."""
        shown = [cell if isinstance(cell, Text) else Text(line(cell)) for cell in cells]
        self._rows.append([cell for _, cell in zip(self._heads, shown, strict=True)])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.is_terminal:
            yield from self._drawn(console, options.max_width)
        else:
            for cells in (self._heads, *([cell.plain for cell in row] for row in self._rows)):
                yield Segment("\t".join(map(line, cells)) + "\n")

    def _drawn(self, console: Console, width: int) -> Iterator[Text]:
        texts = [at for at in self._texts if any(row[at] for row in self._rows)]
        names = self._shared(self._names, width)
        if names is None:
            yield from self._by_field(console, width)
            return
        taken = sum(names) + GAP * len(names)
        beside = self._shared(texts, width - taken, LEAST_TEXT)
        columns = self._names if beside is None else sorted((*self._names, *texts))
        wide = dict(zip((*self._names, *texts), (*names, *(beside or ())), strict=False))
        widths = [wide[at] for at in columns]
        yield from _row(console, [Text(self._heads[at], "bold") for at in columns], widths)
        for row in self._rows:
            yield from _row(console, [row[at] for at in columns], widths)
            for at in texts if beside is None else ():
                if row[at]:
                    yield from _below(console, self._said(at, row[at]), GAP, width)

    def _by_field(self, console: Console, width: int) -> Iterator[Text]:
        """Each row as lines of a head and its cell: what a narrow terminal has room for."""
        widest = max(map(len, self._heads)) + GAP
        indent = widest if width >= 2 * widest else 0
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            for head, cell in zip(self._heads, row, strict=True):
                begun = Text(head.ljust(indent), "bold")
                if not indent:
                    yield begun
                for part in _below(console, cell, indent, width):
                    yield begun.append_text(part[indent:]) if indent and begun else part
                    begun = Text()

    def _said(self, at: int, cell: Text) -> Text:
        """A text as it stands below its row: where there are several, each says which it is."""
        if len(self._texts) == 1:
            return cell
        return Text.assemble((f"{self._heads[at]}: ", "dim"), cell)

    def _shared(
        self, columns: Sequence[int], width: int, least: int = LEAST_NAME
    ) -> list[int] | None:
        """Widths of these columns within `width`: as wide as they are, and the widest alike. None where one
        would be narrower than `least` for it.
        """
        room = width - GAP * (len(columns) - 1)
        needs = [self._need(at) for at in columns]
        widths = [0] * len(columns)
        for place, at in enumerate(sorted(range(len(columns)), key=needs.__getitem__)):
            widths[at] = min(needs[at], max(room, 0) // (len(columns) - place))
            room -= widths[at]
            if widths[at] < min(needs[at], least):
                return None
        return widths

    def _need(self, at: int) -> int:
        return max(len(self._heads[at]), *(row[at].cell_len for row in self._rows), 1)


def _row(console: Console, cells: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
    """The lines of one row, each cell folded into its width."""
    folded: list[Iterable[Text]] = [
        cell.wrap(console, width, overflow="fold")
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*folded, fillvalue=Text()):
        whole = Text(no_wrap=True, overflow="ignore")
        for part, width in zip(parts, widths, strict=True):
            whole.append_text(part)
            whole.append(" " * (width - part.cell_len + GAP))
        whole.rstrip()
        yield whole


def _below(console: Console, cell: Text, indent: int, width: int) -> Iterator[Text]:
    """A cell as lines of its own, indented."""
    for part in cell.wrap(console, max(width - indent, 1), overflow="fold"):
        part.rstrip()
        yield Text(" " * indent, no_wrap=True, overflow="ignore").append_text(part)
