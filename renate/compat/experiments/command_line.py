"""`python -m renate.cli.run_experiment_with_scenario --config_file my_config.py …`, as Renate had
it; what it left out, the config_space, is given by flags too.
"""

import argparse
import sys
from collections.abc import Sequence

from renate.compat.calls.command_line import boolean, space_of_flags
from renate.compat.calls.lines import BACKENDS, MODES
from renate.compat.experiments.run import execute_experiment_job, experiment_config_file
from renate.compat.files.description import describe
from renate.compat.names.defaults import SEED, WORKING_DIRECTORY
from renate.errors import RenateError

# Flags whose absence leaves the matter to `run_training_job`.
COUNTS = (
    "max_epochs",
    "n_workers",
    "devices",
    "instance_count",
    "max_num_trials_started",
    "max_num_trials_completed",
    "max_num_trials_finished",
)
SECONDS = ("max_time", "instance_max_time")
TEXTS = ("scheduler", "accelerator", "role", "instance_type", "requirements_file", "job_name")


def main(argv: Sequence[str] | None = None) -> None:
    """Run one experiment; exits with 1 and one line where it can't.

    Args:
        argv: The flags; None takes those of the process.
    """
    asked, others = _parser().parse_known_args(argv)
    try:
        path = asked.config_file or experiment_config_file()
        space = space_of_flags(others, describe(path))
        flags = {name: getattr(asked, name) for name in (*COUNTS, *SECONDS, *TEXTS)}
        passed_on = {name: value for name, value in flags.items() if value is not None}

        execute_experiment_job(
            backend=asked.backend,
            config_file=path,
            config_space=space,
            experiment_outputs_url=asked.experiment_outputs_url,
            mode=asked.mode,
            metric=asked.metric,
            num_updates=asked.num_updates,
            working_directory=asked.working_directory,
            seed=asked.seed,
            deterministic_trainer=boolean("deterministic_trainer", asked.deterministic_trainer),
            save_state=boolean("save_state", asked.save_state),
            updater=asked.updater,
            **passed_on,
        )
    except RenateError as error:
        sys.exit(f"renate: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m renate.cli.run_experiment_with_scenario",
        description="An update for each chunk, by Renate's flags; keys of its config_space are "
        "flags too, as --learning_rate 0.1 or --learning_rate 'interval(0.01,0.1)'.",
        allow_abbrev=False,
    )
    parser.add_argument("--config_file", help="without it, experiment_config_file()")
    parser.add_argument("--experiment_outputs_url", required=True)
    parser.add_argument("--num_updates", type=int, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--updater", default="ER")
    parser.add_argument("--working_directory", default=WORKING_DIRECTORY)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--deterministic_trainer", default="True")
    parser.add_argument("--save_state", default="True")
    parser.add_argument("--backend", default="local", choices=BACKENDS)

    for name in COUNTS:
        parser.add_argument(f"--{name}", type=int)
    for name in SECONDS:
        parser.add_argument(f"--{name}", type=float)
    for name in TEXTS:
        parser.add_argument(f"--{name}")

    return parser


if __name__ == "__main__":
    main()
