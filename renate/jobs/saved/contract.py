"""The contract that a version keeps."""

from renate.data.contract.document import Contract
from renate.data.contract.text import FILE as CONTRACT
from renate.data.contract.text import from_json
from renate.jobs.saved.from_state import Relayed
from renate.state.contents import checked
from renate.state.manifest import Manifest
from renate.state.versions import State


def contract_of(state: State | Relayed, manifest: Manifest) -> Contract | None:
    """What a version's data are held against; None where it keeps nothing of that.

    Raises:
        CorruptError: It isn't what an update writes.
    """
    if CONTRACT not in manifest.files:
        return None

    where = f"{state.url}: '{CONTRACT}' of version {manifest.version}"
    found: Contract = checked(from_json, state.read(manifest, CONTRACT), where)
    return found
