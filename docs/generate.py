"""Write docs/configuration.md and docs/updaters.md from conf/ and the docstrings: `python
docs/generate.py`.
"""

import importlib
import inspect
import re
from pathlib import Path

import yaml

from renate.updaters.base import Updater

DOCS = Path(__file__).parent
CONF = DOCS.parent / "conf"
ORDER = [
    *("job", "problem", "data", "scenario", "transform", "model", "memory", "updater", "loss"),
    *(
        "optimizer",
        "lr_scheduler",
        "trainer",
        "callbacks",
        "gate",
        "policy",
        "shift",
        "contract",
        "publish",
        "metrics",
        "logger",
        "backend",
        "tuner",
        "search_space",
        "debug",
    ),
]
# "Arani et al., 2022, https://…", "Lopez-Paz & Ranzato, 2017, https://…"
PAPER = re.compile(
    r"([A-Z][\w-]+(?: et al\.| (?:and|&) [A-Z][\w-]+)?, \d{4}), (https?://[^\s,;)]*[^\s,;:.)])"
)
USES_MEMORY = re.compile(r"memory\.(?:add|add_columns|sample|columns)\b")


def configuration() -> str:
    """Every group, every option, as the files have them."""
    lines = [
        "# Configuration",
        "",
        "Generated from `conf/` by `python docs/generate.py`. Choose an option by `group=option`, "
        "set a value by",
        "`group.key=value`; a key that isn't in the option's file is an error, `+group.key=value` "
        "adds one on purpose.",
        "",
        "## The root",
        "",
        *block(CONF / "config.yaml"),
    ]
    groups = {p.name for p in CONF.iterdir() if p.is_dir()} - {
        "hydra",
        "experiment",
        "compat",
        "__pycache__",
    }
    assert groups == set(ORDER), groups ^ set(ORDER)
    for group in ORDER:
        lines += [f"## {group}", ""]
        for path in sorted((CONF / group).rglob("*.yaml")):
            lines += [
                f"### {group}={path.relative_to(CONF / group).with_suffix('')}",
                "",
                *block(path),
            ]
    lines += ["## Experiments", ""]
    for path in sorted((CONF / "experiment").rglob("*.yaml")):
        lines += [
            f"### experiment={path.relative_to(CONF / 'experiment').with_suffix('')}",
            "",
            *block(path),
        ]
    lines += ["## What calls of Renate's fall back on", ""]
    for path in sorted((CONF / "compat").glob("*.yaml")):
        lines += [f"### {path.stem}", "", *block(path)]
    return "\n".join(lines)


def block(path: Path) -> list[str]:
    return ["```yaml", *path.read_text().rstrip().splitlines(), "```", ""]


def updaters() -> str:
    """A row per updater: what it does, its paper, what it learns and keeps, its arguments."""
    lines = [
        "# Updaters",
        "",
        "Generated from `conf/updater/` and the docstrings by `python docs/generate.py`.",
        "",
        "| updater | what it does | paper | problems | memory | arguments and their values |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted((CONF / "updater").glob("*.yaml")):
        node = yaml.safe_load(path.read_text())
        module, _, name = node.pop("_target_").rpartition(".")
        updater = getattr(importlib.import_module(module), name)
        memory = memory_of(updater, node.pop("defaults", []))
        doc = inspect.getdoc(updater) or ""
        text = " ".join(doc.partition("Args:")[0].partition("Attributes:")[0].split())
        cells = [
            f"`{path.stem}`",
            text.replace("|", "\\|"),
            paper_in(text),
            ", ".join(updater.problems) or "any",
            memory,
            ", ".join(f"`{key}: {value}`" for key, value in node.items()) or "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def paper_in(text: str) -> str:
    """The first source that a docstring names, as a link."""
    found = PAPER.search(text)
    if found is None:
        return "–"
    return f"[{found[1]}]({found[2]})"


def memory_of(updater: type, defaults: list[dict[str, str]]) -> str:
    """The memory that an updater has by default, and what it keeps beside the examples."""
    sources = [inspect.getsource(part) for part in updater.__mro__[:-1] if part is not Updater]
    own = "".join(text for text in sources if text.startswith("class "))
    if not USES_MEMORY.search(own):
        return "–"

    option = "reservoir"
    for override in defaults:
        for key, value in override.items():
            if "/memory" in key:
                option = value

    return ", ".join([f"`{option}`", *(f"with `{field}`" for field in updater.fields)])


PAGES = {"configuration.md": configuration, "updaters.md": updaters}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text())
