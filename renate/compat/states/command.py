"""`renate state import OLD_FOLDER NEW_URL --trust-pickle`."""

import argparse
import sys
from pathlib import Path

from renate.errors import StateError
from renate.state.versions import State

REFUSED = (
    "what Renate 0.5 wrote are pickles, and a pickle can run code: if you trust whoever wrote "
    "{folder}, add --trust-pickle (files of tensors and plain values alone are read as such)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("folder", help="with model.ckpt and learner.ckpt")
    parser.add_argument("url", help="the new state")
    parser.add_argument("--trust-pickle", action="store_true", help="read pickles, which are code")
    parser.add_argument("--outputs", type=int, help="of the model; default: as its files say")


def run(asked: argparse.Namespace) -> None:
    """Take an old state over.

    Raises:
        StateError: It isn't one, it is one of this package, or pickles aren't trusted.
    """
    folder = Path(asked.folder).expanduser()
    if not folder.is_dir():
        raise StateError(f"{asked.folder}: no such folder (a state on S3 must be fetched first)")
    if State(str(folder)).numbers():
        raise StateError(
            f"{asked.folder}: it is a state of this package already, which an update goes on from: "
            f"state.url={asked.folder}"
        )
    if not asked.trust_pickle:
        raise StateError(REFUSED.format(folder=asked.folder))

    from renate.compat.states.importing import import_state

    manifest = import_state(
        folder, asked.url, asked.outputs, lambda text: print(text, file=sys.stderr)
    )
    print(f"version {manifest.version} of {asked.url}")
