"""Renate's updaters by the names that it had for them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from renate.errors import ConfigError, nearest

WEIGHTS = {
    "alpha": "updater.alpha",
    "loss_weight": "updater.loss_weight",
    "loss_normalization": "updater.loss_normalization",
}
LOSS = {name: WEIGHTS[name] for name in ("loss_weight", "loss_normalization")}
COPIES = ("stable", "plastic")

PROMPTS = {"prompt_sim_loss_weight": "updater.match_weight"}
EACH = "LearningToPrompt: each example picks its own prompts, whatever per_batch_prompt says"


@dataclass(frozen=True)
class Method:
    """One of Renate's updaters.

    Attributes:
        name: Renate's.
        option: Of our group `updater`.
        replays: Whether it draws from a memory of limited size.
        keys: Key of its own -> ours.
        note: What is told when it is used.
        memory: Our option of the group `memory`; None leaves it to the updater.
    """

    name: str
    option: str
    replays: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    memory: str | None = None


METHODS = (
    Method("ER", "weighted_er", keys=WEIGHTS),
    Method("DER", "weighted_derpp", keys=WEIGHTS | {"beta": "updater.beta"}),
    Method("Joint", "joint", replays=False, keys={"reset": "updater.reset"}),
    Method("FineTuning", "fine_tuning", replays=False, memory="none"),
    Method(
        "Avalanche-ER",
        "weighted_er",
        note="Avalanche-ER: the updater ER of this package, without Avalanche",
    ),
    Method(
        "POD-ER",
        "pod_er",
        keys=WEIGHTS | {"distillation_type": "updater.pooling", "normalize": "updater.normalize"},
    ),
    Method(
        "CLS-ER",
        "cls_er",
        keys={
            "beta": "updater.consistency",
            **{f"{copy}_model_update_weight": f"updater.{copy}_decay" for copy in COPIES},
            **{f"{copy}_model_update_probability": f"updater.{copy}_frequency" for copy in COPIES},
        },
    ),
    Method(
        "Super-ER",
        "super_er",
        keys=LOSS
        | {
            "der_alpha": "updater.der.alpha",
            "der_beta": "updater.der.beta",
            "sp_shrink_factor": "updater.shrink.factor",
            "sp_sigma": "updater.shrink.sigma",
            "cls_alpha": "updater.cls.alpha",
            **{f"cls_{copy}_model_update_weight": f"updater.cls.{copy}_decay" for copy in COPIES},
            **{
                f"cls_{copy}_model_update_probability": f"updater.cls.{copy}_frequency"
                for copy in COPIES
            },
            "pod_alpha": "updater.pod.alpha",
            "pod_distillation_type": "updater.pod.pooling",
            "pod_normalize": "updater.pod.normalize",
        },
    ),
    Method(
        "Offline-ER",
        "offline_er",
        keys={"loss_weight_new_data": "updater.loss_weight_new_data"},
    ),
    Method(
        "RD",
        "repeated_distillation",
        replays=False,  # as GDumb's, its memory is what is trained on
        keys={"memory_size": "memory.capacity"},
        note="RD: its expert is trained by updater.expert_epochs, expert_lr and expert_batch_size",
    ),
    Method(
        "GDumb",
        "gdumb",
        replays=False,  # nothing is drawn from its memory besides a batch: it is what is trained on
        keys={"memory_size": "memory.capacity", "reset": "updater.reset"},
    ),
    Method("LearningToPrompt", "l2p", replays=False, keys=PROMPTS, note=EACH),
    Method(
        "LearningToPromptReplay",
        "l2p_replay",
        replays=False,  # it draws a number of examples, never a fraction of the batch
        keys=PROMPTS
        | {"memory_size": "memory.capacity", "memory_batch_size": "updater.replay_batch_size"},
        note=EACH,
    ),
    Method("SPeft", "s_prompts", replays=False),
    Method(
        "Avalanche-EWC",
        "ewc",
        replays=False,
        keys={"ewc_lambda": "updater.strength"},
        note="Avalanche-EWC: the updater ewc of this package, with one running Fisher information",
        memory="none",
    ),
    Method(
        "Avalanche-LwF",
        "lwf",
        replays=False,
        keys={"alpha": "updater.alpha", "temperature": "updater.temperature"},
        note="Avalanche-LwF: the updater lwf of this package, without Avalanche",
        memory="none",
    ),
    Method(
        "Avalanche-iCaRL",
        "icarl",
        replays=False,  # its memory is trained on besides the new data, and nothing is drawn
        keys={"memory_size": "memory.capacity"},
        note="Avalanche-iCaRL: the updater icarl of this package, without Avalanche",
    ),
)


def plain(name: str) -> str:
    """A name however it is spelled: `Offline-ER`, `OfflineER`, `offline_er`."""
    return re.sub("[^a-z0-9]", "", name.lower())


def method_named(name: str) -> Method:
    """Find one of Renate's updaters.

    Raises:
        ConfigError: Renate had none of that name.
    """
    known = {plain(method.name): method for method in METHODS}
    if not isinstance(name, str) or plain(name) not in known:
        names = {plain(method.name): method.name for method in METHODS}
        close = nearest(plain(str(name)), names)
        for spelling, written in names.items():
            close = close.replace(f"'{spelling}'", f"'{written}'")
        raise ConfigError(
            f"updater={name!r}: Renate has none of that name{close} ({', '.join(names.values())})"
        )

    return known[plain(name)]
