"""Write docs/configuration.md and docs/updaters.md from conf/ and the docstrings: `python
docs/generate.py`.
"""

import importlib
import inspect
from pathlib import Path

import yaml

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
        "metrics",
        "logger",
        "backend",
        "tuner",
        "search_space",
        "debug",
    ),
]


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
    """A row per updater: what it does, its paper, its arguments."""
    lines = [
        "# Updaters",
        "",
        "Generated from `conf/updater/` and the docstrings by `python docs/generate.py`.",
        "",
        "| updater | what it does | arguments and their values |",
        "| --- | --- | --- |",
    ]
    for path in sorted((CONF / "updater").glob("*.yaml")):
        node = yaml.safe_load(path.read_text())
        module, _, name = node.pop("_target_").rpartition(".")
        node.pop("defaults", None)
        doc = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
        text = " ".join(doc.partition("Args:")[0].split())
        lines.append(
            f"| `{path.stem}` | {text} | "
            f"{', '.join(f'`{k}: {v}`' for k, v in node.items()) or '–'} |"
        )
    return "\n".join([*lines, ""])


PAGES = {"configuration.md": configuration, "updaters.md": updaters}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text())
