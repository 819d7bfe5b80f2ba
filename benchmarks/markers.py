"""The part of a page that a command writes, between `<!-- NAME: begin -->` and its `end`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """One such part, by its name."""

    name: str

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: begin -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}: end -->"

    def write_into(self, page: Path, text: str) -> None:
        """Replace it; raise ValueError if the page does not have both markers, in order."""
        before, _, after = self._divide(page)
        page.write_text(f"{before}{self.begin}\n\n{text}\n\n{self.end}{after}", encoding="utf-8")

    def check(self, page: Path) -> None:
        """Raise ValueError as `write_into` would, before minutes are spent on what it writes."""
        self._divide(page)

    def _divide(self, page: Path) -> tuple[str, str, str]:
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        before, begin, rest = text.partition(self.begin)
        inside, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"{page} has no markers {self.begin} and {self.end}")
        return before, inside, after
