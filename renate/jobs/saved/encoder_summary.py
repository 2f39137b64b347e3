"""What a version's encoder makes of the inputs, for people."""

from renate.build import FROM_STATE
from renate.data.kept.encoders import Encoder, restore
from renate.jobs.saved.from_state import encoder_of, from_state
from renate.state.manifest import Manifest
from renate.state.versions import State


def encoder_summary(state: State, manifest: Manifest) -> list[str]:
    """Return a few lines; of an encoder of the user's own its name, and of none nothing.

    Raises:
        StateError: What the version keeps isn't what an update writes.
    """
    kept = encoder_of(state, manifest)
    if kept is None:
        return []
    if not kept.target.startswith(FROM_STATE):
        return [f"inputs: {kept.target}"]

    where = f"{state.url}: version {manifest.version}"
    encoder = from_state(kept.node, "encoder", Encoder, where, ())
    restore(encoder, kept)
    return encoder.summary() or [f"inputs: {kept.target}"]
