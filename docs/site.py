"""Lay out the pages of the site in build/pages, as mkdocs.yml has them: `python docs/site.py`.

The pages are those of this folder, README.md, CHANGELOG.md, CONTRIBUTING.md and the tables of
benchmarks/results; links between them are changed to where they lie in the site. What a page names
besides, a file of code, stays as text.
"""

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
OTHERS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
RESULTS = "benchmarks/results"
LINK = re.compile(r"\[([^\]\[]*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def laid_out() -> dict[Path, Path]:
    """File of the repository -> page of the site, both relative."""
    found = {Path(name): Path(page) for name, page in OTHERS.items()}
    for file in sorted((ROOT / "docs").rglob("*.md")):
        found[file.relative_to(ROOT)] = file.relative_to(ROOT / "docs")
    for file in sorted((ROOT / RESULTS).glob("*.md")):
        found[file.relative_to(ROOT)] = Path("results") / file.name
    return found


def linked(text: str, file: Path, pages: dict[Path, Path]) -> str:
    """A page's text with links that lead to pages, as seen from its own place."""

    def replaced(match: re.Match[str]) -> str:
        title, target = match[1], match[2]
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]

        name, _, anchor = target.partition("#")
        meant = Path(os.path.normpath(file.parent / name))
        if meant not in pages:
            if not (ROOT / meant).exists():
                raise SystemExit(f"{file}: links to {target}, which isn't there")
            return title

        place = os.path.relpath(pages[meant], pages[file].parent)
        return f"[{title}]({place}{'#' + anchor if anchor else ''})"

    # What stands between fences is no link
    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(replaced, part) for part in parts)


def main() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = laid_out()
    for file, page in pages.items():
        place = PAGES / page
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(linked((ROOT / file).read_text(), file, pages))


if __name__ == "__main__":
    main()
