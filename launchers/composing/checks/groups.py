"""What settings take that no class of their own checks: the root's, and those of the groups that
are plain values.

What their defaults tell, the schema has checked already.
"""

from collections.abc import Mapping

from omegaconf import DictConfig

from .kinds import COUNT, COUNT_OR_NONE, Flag, Number, OneOf, Setting, Text, Texts, check_kinds

PLACE = Text(digits=False, optional=True)  # a path or a URL
NAME = Text(optional=True)  # of a version: a number too
COUNT_OR_NULL = Number(1, whole=True, optional=True)
AMOUNT_OR_NULL = Number(above=True, optional=True)

# Group -> key -> what it takes; a key that a config lacks is left out
KNOWN: Mapping[str, Mapping[str, Setting]] = {
    "": {
        "config_file": PLACE,
        "output": PLACE,
        "trust": Texts(),
    },
    "state": {
        "url": PLACE,
        "version": NAME,
        "next_url": PLACE,
        "cache_gb": Number(optional=True),
        "cache_dir": PLACE,
    },
    "job": {
        "chunk": COUNT_OR_NONE,
        "untrained_models": COUNT,
        "version": NAME,
    },
    "shift": {
        "keep": COUNT,
        "of": OneOf(("last_update", "all_updates")),
        "fill": COUNT_OR_NONE,
    },
    "trainer": {
        "accelerator": OneOf(("auto", "cpu", "gpu", "cuda", "mps", "tpu")),
        "threads": Number(1, whole=True, words=("auto",)),
        "strategy": Text(digits=False, optional=True),
        "gradient_clip_val": Number(optional=True),
        "gradient_clip_algorithm": OneOf(("norm", "value"), optional=True),
        "deterministic": Flag(optional=True),
        "limit_train_batches": AMOUNT_OR_NULL,
        "profile": OneOf(("simple", "advanced"), optional=True),
        "patience": COUNT_OR_NULL,
        "checkpoint_every": Number(optional=True),
        "report_every": COUNT_OR_NULL,
        "eval_batch_size": COUNT,
    },
    "tuner": {
        "max_trials": COUNT_OR_NULL,
        "max_trials_completed": COUNT_OR_NULL,
        "max_trials_finished": COUNT_OR_NULL,
        "max_failures": Number(0, whole=True, optional=True),
        "max_time": AMOUNT_OR_NULL,
        "max_cost": AMOUNT_OR_NULL,
        "seeds": COUNT,
        "storage": PLACE,
    },
}


def check_groups(config: DictConfig) -> None:
    """Compare the settings of a resolved config with what they take.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    for group, known in KNOWN.items():
        if not group:
            check_kinds(config, known, "")
        elif isinstance(config.get(group), DictConfig):
            check_kinds(config[group], known, group)
