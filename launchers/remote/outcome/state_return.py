"""A state on this machine, on its way to a job and back: the job itself reads and publishes in
S3 only.
"""

from dataclasses import dataclass, replace
from functools import partial

from renate.jobs.records import JobResult
from renate.state import publish as publishing
from renate.state.blobs import parallel
from renate.state.manifest import Blob, Manifest
from renate.state.store import Store, open_store
from renate.state.versions import State, version_key

POOL = "pool"  # every blob that was ever sent, by its content, so that none is sent twice


def pooled(blob: Blob) -> str:
    """The key of a blob below the staging place, which its content gives."""
    return f"{POOL}/{blob.sha256}"


def send(source: State, numbers: list[int], staging: str, folder: str) -> int:
    """Make `<staging>/<folder>` hold versions of a local state, byte for byte.

    Returns how many blobs were uploaded.
    """
    store = open_store(staging)
    target = State(f"{staging}/{folder}")
    missing = [number for number in numbers if target.find(number) is None]
    if missing:
        there = {entry.key for entry in store.list(POOL)}
    else:
        there = set()

    sent = 0

    for number in missing:
        manifest = source.manifest(number)
        fresh = {
            pooled(blob): name for name, blob in manifest.files.items() if pooled(blob) not in there
        }
        parallel(partial(_put, store, source, manifest), fresh.items())
        there |= fresh.keys()
        sent += len(fresh)
        parallel(
            lambda blob: store.copy(pooled(blob), f"{folder}/{blob.key}"), manifest.files.values()
        )
        target.store.create(version_key(number), bytes(source.store.get(version_key(number))))

    return sent


def _put(store: Store, source: State, manifest: Manifest, item: tuple[str, str]) -> None:
    key, name = item
    store.put(key, source.read(manifest, name))


def keep(staging: str, folder: str, manifest: Manifest) -> None:
    """Remember a job's blobs as sent: the next job starts from them."""
    store = open_store(staging)
    there = {entry.key for entry in store.list(POOL)}
    new = [blob for blob in manifest.files.values() if pooled(blob) not in there]
    parallel(lambda blob: store.copy(f"{folder}/{blob.key}", pooled(blob)), new)


@dataclass
class StateReturn:
    """How a job's outcome comes back to a local state.

    Attributes:
        url: The local state.
        remote: URL of the job's.
        parent: URL of the state that the job starts from; None where each version is the next one's
            parent.
        publish: Whether the outcome becomes a version; else it stays a candidate.
        staging: Where local states are sent.
    """

    url: str
    remote: str
    parent: str | None
    publish: bool
    staging: str

    def receive(self, job: str | None) -> int | None:
        """Bring what a job left (None: all there is), unless it is here already.

        Returns its newest version here.

        Raises:
            ConflictError: Another version was published here meanwhile; the outcome stays as a
                candidate.
        """
        remote = State(self.remote)
        local = State(self.url)
        known = {local.manifest(number).job: number for number in local.versions()}
        newest: int | None = None

        for manifest in self._outcomes(remote, job):
            assert manifest.job is not None
            if manifest.job not in known:
                publishing.adopt(
                    local,
                    (remote, manifest),
                    (),
                    job=manifest.job,
                    parent=self._parent(local, manifest),
                    lineage={},
                    base=manifest.base,
                )
                if self.remote.startswith(f"{self.staging}/"):
                    keep(self.staging, self.remote.removeprefix(f"{self.staging}/"), manifest)
                if self.publish:
                    known[manifest.job] = publishing.publish(local, manifest.job).version or 0

            newest = known.get(manifest.job)

        return newest

    @staticmethod
    def _outcomes(remote: State, job: str | None) -> list[Manifest]:
        versions = [remote.manifest(number) for number in remote.versions()]
        found = [*versions, *publishing.candidates(remote)]
        return [
            m
            for m in found
            if m.job is not None and (job is None or m.job == job or m.job.startswith(f"{job}-"))
        ]

    def _parent(self, local: State, manifest: Manifest) -> publishing.Source | None:
        if manifest.parent is None:
            return None
        state = local
        if self.parent is not None:
            state = State(self.parent)

        return state, state.manifest(manifest.parent.version)


def result_here(result: JobResult, back: StateReturn, job: str) -> JobResult:
    """A job's result, with the version and the URL that it has on this machine."""
    version = None
    if result.completed:
        version = back.receive(job)

    return replace(result, version=version, url=back.url)
