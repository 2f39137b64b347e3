"""What a version takes, and what its encoder makes of that, for people."""

from renate.build import FROM_STATE
from renate.data.kept.encoders import Encoder, restore
from renate.data.kept.inputs import Inputs
from renate.errors import StateError
from renate.jobs.predicting.raw_input import raw_input
from renate.jobs.saved.from_state import deploy_of, encoder_of, from_state
from renate.state.manifest import Manifest
from renate.state.versions import State


def shown_inputs(state: State, manifest: Manifest) -> list[str]:
    """Return a line for each input of a raw row, and what its encoder says; of an encoder of the
    user's own the name alone.

    Raises:
        StateError: What the version keeps isn't what an update writes.
    """
    kept = encoder_of(state, manifest)
    where = f"{state.url}: version {manifest.version}"
    if kept is not None and not kept.target.startswith(FROM_STATE):
        return [f"inputs: {kept.target}"]

    encoder = None
    if kept is not None:
        encoder = from_state(kept.node, "encoder", Encoder, where, ())
        restore(encoder, kept)

    found = deploy_of(state, manifest).get("inputs")
    try:
        inputs = Inputs.from_json(found) if found is not None else None
    except ValueError as error:
        raise StateError(f"{where}: {error}: was this state made by renate?") from error

    lines = [f"input      {line}" for line in raw_input(inputs, encoder).lines()]
    if encoder is None:
        return lines

    assert kept is not None
    return [*lines, *(encoder.summary() or [f"inputs: {kept.target}"])]
