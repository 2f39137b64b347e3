"""How long a schedule is, where a config leaves it to the fit."""

from collections.abc import Mapping
from typing import Any

from renate.build import infer
from renate.errors import ConfigError

# How torch's schedulers call the number of steps from their beginning to their end
LENGTHS = ("T_max", "total_steps", "total_iters")


def with_length(node: Mapping[str, Any], length: int, key: str = "lr_scheduler") -> dict[str, Any]:
    """Return a scheduler's config, each null that asks for its length filled in.

    Args:
        node: See conf/lr_scheduler.
        length: Of what it is for.
        key: Where it stands, for messages.

    Raises:
        ConfigError: It ends before, and has no learning rate from then on.
    """
    filled = infer(node, dict.fromkeys(LENGTHS, length))
    total = filled.get("total_steps")
    ends = str(filled.get("_target_")).endswith(".OneCycleLR")
    if ends and total is not None and total < length:
        raise ConfigError(
            f"{key}.total_steps={total}: it ends before the update, which has {length}: expected "
            f"{length} or more, or null"
        )

    return filled


def unlike(node: Mapping[str, Any], interval: str, length: int) -> str:
    """Say in what a schedule isn't as long as an update of so many epochs or steps, where its
    learning rate goes another way by that; nothing where it is.
    """
    last = f"the update has {length} {interval}s"
    step = node.get("step_size")
    if isinstance(step, int) and step >= length:
        return f"lr_scheduler.step_size={step}: the learning rate stays as it is, {last}"

    places = node.get("milestones")
    if isinstance(places, list):
        late = [place for place in places if isinstance(place, int) and place >= length]
        if late:
            return f"lr_scheduler.milestones={places}: {late[0]} is never reached, {last}"

    for name in ("T_max", "total_steps"):
        asked = node.get(name)
        if isinstance(asked, int) and asked > length:
            return f"lr_scheduler.{name}={asked}: its end is never reached, {last}"
        if isinstance(asked, int) and name == "T_max" and asked < length:
            return f"lr_scheduler.{name}={asked}: the learning rate rises again then, {last}"
    return ""


def warmup_node(node: Mapping[str, Any], interval: str, whole: int) -> dict[str, Any]:
    """Return the config of a `Warmup`, its length a number of steps, and what follows it ready to
    be built once there is an optimizer.

    Args:
        node: Its `length` is a number of steps, or below 1 a share of the fit.
        interval: What a step is: `epoch` or `step`.
        whole: The fit's length in these.

    Raises:
        ConfigError: It takes as long as the fit, or what follows would step otherwise.
    """
    length = _length_of(node["length"], interval, whole)
    filled = dict(node) | {"length": length, "then": None}

    then = dict(node.get("then") or {})
    own = then.pop("interval", interval)
    then.pop("monitor", None)
    if "_target_" not in then:
        return filled

    if own != interval:
        raise ConfigError(
            f"lr_scheduler.then.interval={own}: it steps as the warm-up does: "
            f"lr_scheduler.interval={own}, or leave it out"
        )
    if then["_target_"].endswith(".ReduceLROnPlateau"):
        raise ConfigError(
            "lr_scheduler.then: ReduceLROnPlateau steps when something was measured, a warm-up "
            "doesn't: lr_scheduler=plateau alone, or another one, as cosine"
        )

    rest = with_length(then, whole - length, "lr_scheduler.then")
    filled["then"] = rest | {"_partial_": True}

    return filled


def _length_of(asked: float, interval: str, whole: int) -> int:
    if 0 < asked < 1:
        length = max(1, round(asked * whole))
    else:
        length = int(asked)

    is_number = asked in (length, 1) or 0 < asked < 1
    if not is_number or not 1 <= length < whole:
        raise ConfigError(
            f"lr_scheduler.length={asked}: expected a share between 0 and 1 of the update's "
            f"{whole} {interval}s, or a number of them that leaves one at least"
        )

    return length
