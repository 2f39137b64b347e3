"""`renate convert experiment.json`: Renate's experiment files as experiments of ours."""

import argparse
from pathlib import Path

from renate.errors import ConfigError


def run(argv: list[str]) -> None:
    """The verb."""
    parser = argparse.ArgumentParser(
        prog="renate convert",
        description="Write conf/experiment/NAME.yaml from an experiment file of Renate 0.5.",
    )
    parser.add_argument("file", help="the JSON; what it names lies in folders beside it")
    parser.add_argument("--name", help="of the experiment; default: that of the file")
    asked = parser.parse_args(argv)

    from renate.compat.experiments.convert import convert

    source = Path(asked.file)
    name = asked.name or source.stem
    target = Path("conf", "experiment", f"{name}.yaml")
    if target.exists():
        raise ConfigError(f"{target}: there is one already: give another name, --name {name}2")

    text = convert(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    print(f"{target}: renate experiment={name}")
