"""Which container image a job runs in."""

from importlib.metadata import version
from typing import Any

from renate.errors import ConfigError

FRAMEWORK = "pytorch"


def newest(versions: list[str], installed: str) -> str | None:
    """The newest version whose first two numbers aren't above the installed one's."""
    limit = numbers(installed)[:2]
    fitting = [v for v in versions if numbers(v)[:2] <= limit]
    return max(fitting, key=numbers, default=None)


def numbers(text: str) -> list[int]:
    """The numbers of a version, without what stands behind a plus."""
    return [int(part) for part in text.split("+")[0].split(".") if part.isdigit()]


def resolve(region: str, instance_type: str) -> str:
    """The framework's own image for a region and a kind of machine.

    Raises:
        ConfigError: The SDK knows none.
    """
    from sagemaker.core import image_uris  # lazy: takes two seconds

    family = instance_type.split(".")[1]

    if family.startswith(("trn", "inf")):
        raise ConfigError(
            f"backend.instance_type={instance_type}: its accelerator needs an image of its own, "
            "give backend.image=…"
        )

    table: dict[str, Any] = image_uris.config_for_framework(FRAMEWORK)["training"]["versions"]
    chosen = newest(list(table), version("torch"))
    if chosen is None:
        raise ConfigError(
            f"no image for torch {version('torch')} or older in the SDK's table: give "
            "backend.image=…"
        )

    python = max(table[chosen]["py_versions"], key=lambda name: int(name.removeprefix("py3")))
    try:
        uri: str = image_uris.retrieve(
            FRAMEWORK,
            region,
            version=chosen,
            py_version=python,
            instance_type=instance_type,
            image_scope="training",
        )
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"backend.image=null: the SDK has none for {region}, give backend.image=…"
        ) from error

    return uri
