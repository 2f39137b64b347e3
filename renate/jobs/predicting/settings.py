"""What the group `job` says of a prediction, checked."""

from renate.errors import ConfigError, nearest


def listed(names: object) -> list[str]:
    """One name, several, or none, each once."""
    if names is None:
        return []
    if isinstance(names, list | tuple):
        return list(dict.fromkeys(map(str, names)))
    return [str(names)]


def one_of(key: str, asked: object, choices: tuple[str, ...]) -> str:
    """Return what a key of the group `job` says.

    Raises:
        ConfigError: It is none of the choices.
    """
    if asked not in choices:
        close = nearest(str(asked), choices)
        raise ConfigError(f"job.{key}={asked}: expected {' or '.join(choices)}{close}")
    return str(asked)


def batch_size_of(asked: object, default: int) -> int:
    """Return `job.batch_size`, else the default. Raises ConfigError for what is no such number."""
    if asked is None:
        return default
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
        raise ConfigError(f"job.batch_size={asked}: expected 1 or more, or null")
    return asked
