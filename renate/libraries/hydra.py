"""What is changed inside Hydra 1.3."""

from typing import Any


def accept_registered(plugins: Any) -> None:
    """Let Hydra use each plugin that was registered, whatever package it lives in.

    Hydra 1.3 refuses those outside of the package `hydra_plugins`; 1.4 takes them by entry points.

    Args:
        plugins: Hydra's registry, `Plugins.instance()`.
    """
    type(plugins).is_in_toplevel_plugins_module = staticmethod(
        lambda name: name in plugins.class_name_to_class or name.startswith("hydra_plugins.")
    )
