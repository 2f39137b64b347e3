"""Hydra's sweep grammar -> a search space."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf

from renate.errors import ConfigError, nearest, within
from renate.libraries.omegaconf import node_of
from renate.tuning.space import Domain, Space

from ...composing.composer import Composer


def domain_of(override: Override) -> Domain:
    """The domain that an override gives its key.

    Raises:
        ConfigError: A domain that can't be right; Hydra's grammar takes an empty interval, a log
            from 0 and any tag.
    """
    line = override.input_line
    sweep = override.value()
    assert isinstance(sweep, ChoiceSweep | IntervalSweep | RangeSweep)
    if unknown := sorted(sweep.tags - {"log"}):
        raise ConfigError(f"{line}: no such tag '{unknown[0]}'{nearest(unknown[0], ['log'])} (log)")
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        low = sweep.start
        high = sweep.end
        log = "log" in sweep.tags
        if not low < high:
            raise ConfigError(f"{line}: expected low < high, got {low:g} and {high:g}")
        if log and low <= 0:
            raise ConfigError(f"{line}: expected a low above 0 on a logarithmic scale, got {low:g}")

        return Domain(
            "int" if isinstance(low, int) and isinstance(high, int) else "float", low, high, log
        )

    if sweep.tags:
        raise ConfigError(f"{line}: tag(log, …) is for intervals: tag(log, interval(low, high))")
    if isinstance(sweep, RangeSweep) and isinstance(sweep.range(), range) and sweep.step == 1:
        numbers = sweep.range()
        assert isinstance(numbers, range)
        if len(numbers) > 1:
            return Domain("int", numbers[0], numbers[-1])

    choices = list(dict.fromkeys(override.sweep_string_iterator()))
    if not choices:
        raise ConfigError(f"{line}: an empty domain")

    return Domain("choice", choices=tuple(choices))


def domain_in(key: str, text: str) -> Domain:
    """The domain that a text in the grammar of the command line is.

    Raises:
        ConfigError: It is none.
    """
    override = OverridesParser.create().parse_override(f"{key}={text}")
    if not override.is_sweep_override():
        raise ConfigError(f"{key}={text}: expected a domain, as interval(0,1) or choice(a,b)")
    return domain_of(override)


def space_of(composer: Composer, fixed: Sequence[Override], domains: Mapping[str, Domain]) -> Space:
    """Put options first, and find out which keys are there only under some of them.

    Args:
        composer: Of the sweep.
        fixed: The overrides that all trials share.
        domains: Key or group -> domain.

    Raises:
        ConfigError: A key that no choice of options brings into the config.
    """
    groups = [key for key in domains if composer.is_group(key)]
    keys = [key for key in domains if key not in groups]
    for group in groups:
        if domains[group].kind != "choice":
            raise ConfigError(f"{group}={domains[group]}: expected options, as {group}=a,b")

    there: dict[tuple[str, str], set[str]] = {}
    lines = [str(o.input_line) for o in fixed]
    for group, option in [(g, o) for g in groups for o in domains[g].choices] or [("", "")]:
        config: Any = composer.merged([*lines, f"{group}={option}"] if group else lines)
        there[group, option] = {key for key in keys if _has(config, key)}

    for key in keys:
        if not any(key in found for found in there.values()):
            plain: Any = OmegaConf.to_container(config, resolve=False)
            known = sorted(
                _leaves({k: v for k, v in plain.items() if k not in ("tuner", "search_space")})
            )
            raise ConfigError(
                f"search space: {key}: no such key{nearest(key, known)} in the composed config"
            )

    conditions: dict[str, tuple[str, frozenset[str]]] = {}
    for key in keys:
        for group in groups:
            options = frozenset(o for o in domains[group].choices if key in there[group, o])
            if len(options) < len(domains[group].choices):
                conditions[key] = (group, options)
                break

    return Space({key: domains[key] for key in [*groups, *keys]}, conditions)


def _has(config: Any, key: str) -> bool:
    node = config
    for part in key.split("."):
        # `in` is False for a key whose value is ???
        if not OmegaConf.is_dict(node) or part not in node.keys():  # noqa: SIM118
            return False
        node = node_of(node, part)
    return True


def _leaves(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return [prefix]
    return [leaf for name, value in node.items() for leaf in _leaves(value, within(prefix, name))]
