"""Values of a config_space as scripts give them: Python's, numpy's, or a command line's texts."""

from typing import Any

from renate.compat.space.domains import choices_of, ends_of, is_domain
from renate.errors import ConfigError

SWITCHES = ("early_stopping", "mask_unused_classes", "reset")
TEXTS = {"True": True, "False": False}  # as Renate's own command line spells them
FRACTION = "batch_memory_frac"


def plain(key: str, value: Any) -> Any:
    """Return a value as Python has it; of a domain that leaves no choice, its value.

    Args:
        key: Renate's.
        value: As it was given.

    Raises:
        ConfigError: It is none that the key can have.
    """
    found = value
    if not is_domain(value) and getattr(value, "ndim", None) == 0:
        found = value.item()  # of numpy's numbers and torch's
    if is_domain(value):
        found = _without_choice(value)

    if key in SWITCHES:
        found = TEXTS.get(found, found) if isinstance(found, str) else found
        if is_domain(found) or found not in (True, False):
            raise ConfigError(f"config_space['{key}']={found}: expected True or False")
        return bool(found)
    if key == FRACTION:
        _check_fraction(found)

    return found


def _without_choice(domain: Any) -> Any:
    values = choices_of(domain) or [*dict.fromkeys(ends_of(domain) or ())]
    return values[0] if len(values) == 1 else domain


def _check_fraction(value: Any) -> None:
    """From 1 on it would be a number of examples here."""
    expected = "expected a fraction of the batch, between 0 and 1 (memory_batch_size is a number)"
    values = [value]
    if is_domain(value):
        values = choices_of(value)
        low, high = ends_of(value) or (0.5, 0.5)
        if not 0 <= low <= high <= 1:
            raise ConfigError(f"config_space['{FRACTION}']={value}: {expected}")

    for each in values:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 < each < 1:
            raise ConfigError(f"config_space['{FRACTION}']={each!r}: {expected}")
