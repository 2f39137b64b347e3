"""Keep a trained PyTorch model up to date as new data arrives."""

from importlib import import_module
from pathlib import Path
from typing import Any

from renate.compat.finder import install

# conf/ and launchers/ are renate.conf and renate.launchers: inside this package in a wheel, beside
# it in a checkout.
if not (Path(__file__).parent / "conf").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

# Import paths of Renate 0.5, asked for only when nothing else has a name.
install()

_LAZY = {
    "run": "renate.api",
    "stream": "renate.api",
    "Result": "renate.api",
    "load_model": "renate.jobs.saved.deploy",
    "get_execution_role": "renate.compat.calls.role",
}


def __getattr__(name: str) -> Any:
    """Load torch only when something of it is asked for: `renate --help` must not."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'renate' has no attribute '{name}'")
