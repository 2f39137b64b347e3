"""What settings take that no class of their own checks: the root's, and those of the groups that
are plain values.

What their defaults tell, the schema has checked already.
"""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf

from .kinds import (
    AMOUNT_OR_NULL,
    COUNT,
    COUNT_OR_NONE,
    COUNT_OR_NULL,
    NAME,
    PLACE,
    Flag,
    ListOf,
    Number,
    OneOf,
    Setting,
    Text,
    check_kinds,
)
from .others import check_classes

STEPS = OneOf(("epoch", "step"))

# Group -> key -> what it takes; a key that a config lacks is left out
KNOWN: Mapping[str, Mapping[str, Setting]] = {
    "": {
        "output": PLACE,
        "trust": ListOf(),
    },
    "state": {
        "url": PLACE,
        "version": NAME,
        "next_url": PLACE,
        "cache_gb": Number(optional=True),
        "cache_dir": PLACE,
    },
    "data": {
        "contract": PLACE,
        "cache_dir": PLACE,
        "tokenizer": PLACE,
    },
    "data.tokens": {"tokenizer": PLACE},
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
        "accelerator": OneOf(("auto", "cpu", "gpu", "cuda", "mps")),
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
    "publish": {
        "repo": Text(digits=False),
        "name": Text(),
        "tracking_uri": PLACE,
        "experiment": Text(),
        "group": Text(),
        "archives": Text(digits=False),
        "image": Text(digits=False),
        "region": PLACE,
        "instance_types": ListOf(fewest=1),
    },
    "memory": {"max_ram": Number(optional=True)},
    "loss": {"label_smoothing": Number(most=1, optional=True)},
    "lr_scheduler": {"interval": STEPS, "monitor": PLACE},
    "lr_scheduler.then": {"interval": STEPS},
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
        settings = OmegaConf.select(config, group)
        if isinstance(settings, DictConfig):
            check_kinds(settings, known, group)

    check_classes(config)
