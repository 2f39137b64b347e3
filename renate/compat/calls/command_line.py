"""`python -m renate.cli.run_training --config_file my_config.py …`, as Renate had it."""

import argparse
import ast
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import yaml

from renate.compat.calls.running import tell_once
from renate.compat.calls.training import run_training_job
from renate.compat.files.description import Description, describe
from renate.compat.names.defaults import TASK_ID, WORKING_DIRECTORY
from renate.compat.space.methods import method_named
from renate.errors import ConfigError, RenateError
from renate.launchers.sweeps.request.space import domain_in

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
DOMAINS = ("interval(", "int(", "choice(", "tag(", "range(")
# Flags of Renate's by which its tuner spoke to its trials.
WITHOUT_MEANING = ("prepare_data", "st_checkpoint_dir")


def main(argv: Sequence[str] | None = None) -> None:
    """Run one training job; exits with 1 and one line where it can't.

    Args:
        argv: The flags; None takes those of the process.
    """
    parser = _parser()
    asked, others = parser.parse_known_args(argv)
    try:
        description = describe(asked.config_file)
        space = space_of_flags(others, description)
        for name in ("early_stopping", "mask_unused_classes"):
            if getattr(asked, name) is not None:
                space[name] = boolean(name, getattr(asked, name))
        for name in WITHOUT_MEANING:
            if getattr(asked, name) is not None:
                tell_once(f"--{name} has no meaning here, and is left out")

        method_named(asked.updater)
        run_training_job(
            mode=asked.mode if asked.metric else None,
            config_space=space,
            metric=asked.metric,
            backend="local",
            updater=asked.updater,
            max_epochs=asked.max_epochs,
            task_id=asked.task_id,
            chunk_id=asked.chunk_id,
            input_state_url=asked.input_state_url,
            output_state_url=asked.output_state_url,
            working_directory=asked.working_directory,
            config_file=asked.config_file,
            seed=asked.seed,
            accelerator=asked.accelerator,
            devices=asked.devices,
            strategy=asked.strategy,
            precision=asked.precision,
            deterministic_trainer=boolean("deterministic_trainer", asked.deterministic_trainer),
            gradient_clip_val=asked.gradient_clip_val,
            gradient_clip_algorithm=asked.gradient_clip_algorithm,
        )
    except RenateError as error:
        sys.exit(f"renate: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m renate.cli.run_training",
        description="One training job, by Renate's flags; keys of its config_space are flags too.",
        allow_abbrev=False,
    )
    parser.add_argument("--updater", required=True)
    parser.add_argument("--config_file", required=True)
    parser.add_argument("--input_state_url")
    parser.add_argument("--output_state_url")
    parser.add_argument("--max_epochs", type=int)
    parser.add_argument("--task_id", default=TASK_ID)
    parser.add_argument("--chunk_id", type=int)
    parser.add_argument("--metric")
    parser.add_argument("--mode", choices=("max", "min"), default="min")
    parser.add_argument("--working_directory", default=WORKING_DIRECTORY)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--strategy", default="ddp")
    parser.add_argument("--precision", default="32", choices=("16", "32", "64", "bf16"))
    parser.add_argument("--early_stopping")
    parser.add_argument("--mask_unused_classes")
    parser.add_argument("--deterministic_trainer", default="False")
    parser.add_argument("--gradient_clip_val", type=float)
    parser.add_argument("--gradient_clip_algorithm", choices=("norm", "value"))
    for name in WITHOUT_MEANING:
        parser.add_argument(f"--{name}")

    return parser


def space_of_flags(flags: Sequence[str], description: Description) -> dict[str, Any]:
    """Return a config_space whose keys were given as `--key value`.

    Args:
        flags: Those that the command hasn't itself.
        description: Of the config file: its functions' texts stay texts.

    Raises:
        ConfigError: A flag without a value, or a domain that can't be read.
    """
    space: dict[str, Any] = {}
    waiting = list(flags)
    while waiting:
        flag = waiting.pop(0)
        if not flag.startswith("--"):
            raise ConfigError(f"{flag}: expected a flag, as --learning_rate 0.1")

        name, equals, text = flag[2:].partition("=")
        if not equals:
            if not waiting:
                raise ConfigError(f"{flag}: expected a value after it")
            text = waiting.pop(0)
        space[name] = _value(name, text, description)

    return space


def _value(name: str, text: str, description: Description) -> Any:
    argument = description.arguments.get(name)
    if argument is not None and argument.kind == "str":
        return None if argument.optional and text == "None" else text
    if argument is not None and text.startswith("("):
        try:
            return ast.literal_eval(text)  # a tuple, which YAML hasn't
        except (ValueError, SyntaxError) as error:
            raise ConfigError(f"--{name} {text}: expected a {argument.kind}") from error
    if text in ("None", "True", "False"):
        return {"None": None, "True": True, "False": False}[text]
    if text.startswith(DOMAINS) and text.endswith(")"):
        return domain_in(name, text)

    # As Python reads numbers: to YAML 010 is 8, 1:30 is 90, and 1e-3 is text
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--{name} {text}: {error}") from error
    if isinstance(value, bool | list | dict | None):
        return value
    return text


def boolean(name: str, text: str) -> bool:
    """Return what a flag says, True or False, in any case, or 1 or 0.

    Raises:
        ConfigError: Something else.
    """
    if text.lower() not in BOOLEANS:
        raise ConfigError(f"--{name} {text}: expected True or False")
    return BOOLEANS[text.lower()]


if __name__ == "__main__":
    main()
