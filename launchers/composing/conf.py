"""Where configs lie: those of the package, and those of the current directory's experiments."""

from pathlib import Path

import renate

CONF = next(Path(p, "conf") for p in renate.__path__ if Path(p, "conf", "config.yaml").is_file())
ROOT = "pkg://renate.conf"


def folders_of(group: str) -> tuple[Path, Path]:
    """Where a group's options may lie: ours, then the current directory's."""
    return CONF / group, Path("conf", group)


def options_of(group: str) -> dict[str, Path]:
    """The options of a group by name, each with its file."""
    return {
        str(file.relative_to(folder).with_suffix("")): file
        for folder in folders_of(group)
        for file in sorted(folder.rglob("*.yaml"))
    }


def groups() -> list[str]:
    """The names of our groups."""
    return [path.name for path in CONF.iterdir() if path.is_dir()]
