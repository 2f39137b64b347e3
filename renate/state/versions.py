"""Reading a state: which versions there are, and what each consists of."""

import re
from collections.abc import Iterable

from renate.errors import CorruptError, GoneError, NoVersionError, StateError, nearest
from renate.state.blobs import fetch, parallel
from renate.state.cache import Cache
from renate.state.manifest import Blob, Manifest, Tombstone, decode, parse
from renate.state.store import Folder, open_store
from renate.state.store.meter import Show

LATEST = "latest"
JOB = "job-"  # how the pin of a candidate begins


class State:
    """A state under a URL. Opening and reading it writes nothing.

    Args:
        url: A folder, file:///folder, s3://bucket/path, gs://… or az://….
        cache: Keeps what `read` downloads; a state on a local disk needs none and uses none.
        show: Takes the progress of large transfers, from any thread.

    Raises (all methods):
        StateError: The store can't be reached, or holds what can't be read.
    """

    def __init__(self, url: str, *, cache: Cache | None = None, show: Show | None = None) -> None:
        self.store = open_store(url)
        self.url = self.store.url
        if isinstance(self.store, Folder):
            self.cache = None
        else:
            self.cache = cache

        if show is not None:
            self.store.up.show = self.store.down.show = show

    def __repr__(self) -> str:
        return f"State({self.url!r})"

    def numbers(self) -> list[int]:
        """The numbers that are taken, ascending, those of removed versions too; one listing."""
        found = (
            re.fullmatch(r"versions/([0-9]{8,18})\.json", entry.key)
            for entry in self.store.list("versions")
        )
        return sorted(int(match[1]) for match in found if match)

    def versions(self, last: int | None = None) -> list[int]:
        """The versions that gc has not removed, ascending.

        Args:
            last: How many of the newest; their manifests alone are read, and what gc has left of
                others among them. None is all, and reads every manifest.
        """
        if last is None:
            return list(self._live())

        found: list[int] = []
        for number in reversed(self.numbers()):
            if len(found) == last:
                break
            if not isinstance(self._look(number), Tombstone):
                found.append(number)
        return found[::-1]

    def newest(self) -> Manifest | None:
        """The newest version's manifest; None where there is no version yet."""
        # Gc never removes the newest: if it is gone, newer ones came since the listing
        for _ in range(3):
            numbers = self.numbers()
            if not numbers:
                return None
            if isinstance(found := self.find(numbers[-1]), Manifest):
                return found

        raise GoneError(
            f"{self.url}: its newest version, {numbers[-1]}, is gone; bring it back from a copy"
        )

    def manifest(self, version: int | None = None) -> Manifest:
        """Return a version's manifest, by default the newest's.

        Raises:
            NoVersionError: There is no such version.
            GoneError: gc removed it.
            CorruptError: Its manifest can't be read.
        """
        found = self.newest() if version is None else self.find(version)
        if found is None and version is None:
            advice = "check the URL, or make the first with state.first=true"
            raise NoVersionError(f"{self.url}: holds no version yet: {advice}")

        there = ""
        if not isinstance(found, Manifest):
            there = spans(self.versions()) or "none yet"

        if found is None:
            raise NoVersionError(f"{self.url}: holds no version {version}; it has {there}")
        if isinstance(found, Tombstone):
            when = found.removed[:10]
            raise GoneError(
                f"{self.url}: version {version} was removed by gc on {when}; it has {there}"
            )

        return found

    def find(self, number: int) -> Manifest | Tombstone | None:
        """Return what stands under a number, None where nothing does.

        Raises:
            CorruptError: It can't be read.
        """
        key = version_key(number)
        try:
            raw = self.store.get(key)
        except FileNotFoundError:
            return None

        found = decode(raw, f"{self.url}: {key}")
        if found.version != number:
            raise CorruptError(
                f"{self.url}: {key} is that of version {found.version}; bring it back from a copy"
            )

        return found

    def held(self, pin: str) -> int | Manifest | None:
        """What a pin keeps from gc: a version's number, or a job's candidate; None: there is no
        such pin.

        Raises:
            CorruptError: It can't be read.
        """
        key = f"pins/{pin}.json"
        try:
            raw = self.store.get(key)
        except FileNotFoundError:
            return None

        where = f"{self.url}: {key}"
        if pin.startswith(JOB):
            candidate = decode(raw, where)
            if isinstance(candidate, Manifest) and candidate.version is None:
                return candidate
        elif type(version := parse(raw, where).get("version")) is int:
            return version

        raise CorruptError(
            f"{where}: can't be read as a pin; remove it, or bring it back from a copy"
        )

    def pinned(self) -> dict[str, int | Manifest]:
        """What every pin keeps from gc, by the pin's name.

        Raises:
            CorruptError: One can't be read.
        """
        keys = [entry.key for entry in self.store.list("pins") if entry.key.endswith(".json")]
        names = [key[len("pins/") : -len(".json")] for key in keys]
        found = zip(names, parallel(self.held, names), strict=True)
        # None: unpinned since the listing
        return {name: held for name, held in found if held is not None}

    def read(self, manifest: Manifest, name: str) -> memoryview:
        """Return a file's bytes, with size and SHA-256 verified.

        Raises:
            StateError: The version has no such file.
            GoneError: gc has removed the version since its manifest was read.
            CorruptError: The bytes are missing, or not those that were published.
        """
        if name not in manifest.files:
            have = f"it has {', '.join(sorted(manifest.files))}{nearest(name, manifest.files)}"
            raise StateError(f"{self.url}: {manifest} has no file '{name}', {have}")

        blob = manifest.files[name]
        try:
            return fetch(self.store, blob, self.cache)
        except CorruptError as error:
            self._still_there(manifest)
            what = f"blob {blob.key}, file '{name}' of {manifest}, {error}"
            raise CorruptError(
                f"{self.url}: {what}; renate state verify tells what to do"
            ) from None

    def verify(self, version: int | None = None) -> Manifest:
        """Read every file of a version, by default the newest, and return its manifest.

        Raises:
            NoVersionError, GoneError: There is no such version.
            CorruptError: What is damaged, and which versions that spoils.
        """
        return self.check(self.manifest(version))

    def check(self, manifest: Manifest) -> Manifest:
        """Like `verify`, for a manifest at hand; a candidate's too."""

        def problem(blob: Blob) -> str | None:
            try:
                fetch(self.store, blob)
            except CorruptError as error:
                return str(error)
            return None

        self._check_parent(manifest)
        results = zip(
            manifest.files.items(), parallel(problem, manifest.files.values()), strict=True
        )
        bad = [(name, blob.key, text) for (name, blob), text in results if text]

        if bad:
            self._still_there(manifest)
            name, key, text = bad[0]
            more = ""
            if len(bad) > 1:
                more = f" and {len(bad) - 1} more"

            damage = self._damage({key for _, key, _ in bad})
            raise CorruptError(
                f"{self.url}: blob {key}, file '{name}' of {manifest}, {text}{more}; {damage}"
            )

        return manifest

    def _check_parent(self, manifest: Manifest) -> None:
        parent = manifest.parent
        found = None
        if parent and parent.url is None:
            found = self.find(parent.version)

        if parent and found and found.sha256 != parent.sha256:
            what = (
                f"the manifest of version {parent.version} isn't the one that {manifest} came from"
            )
            raise CorruptError(f"{self.url}: {what}; bring it back from a copy")

    def _damage(self, keys: set[str]) -> str:
        live = {number: manifest for number, manifest in self._live().items() if manifest}
        spoiled = [n for n, m in live.items() if keys & {blob.key for blob in m.files.values()}]
        sound = [n for n in live if n not in spoiled]
        advice = "bring it back from a copy"
        if sound:
            advice = f"roll back to version {sound[-1]}"

        return f"spoils {spans(spoiled) or 'no version'}: {advice}"

    def _live(self) -> dict[int, Manifest | None]:
        """Every version that is no tombstone; None for a manifest that can't be read."""
        numbers = self.numbers()
        found = zip(numbers, parallel(self._look, numbers), strict=True)
        return {number: entry for number, entry in found if not isinstance(entry, Tombstone)}

    def _look(self, number: int) -> Manifest | Tombstone | None:
        """What stands under a number; None for what can't be read."""
        try:
            return self.find(number)
        except CorruptError:
            return None

    def _still_there(self, manifest: Manifest) -> None:
        if manifest.version is not None:
            self.manifest(manifest.version)


def version_key(number: int) -> str:
    """Return where the manifest of a version lies: `versions/00000012.json` for 12."""
    return f"versions/{number:08d}.json"


def spans(numbers: Iterable[int]) -> str:
    """Write ascending numbers as `versions 1, 3-5`; nothing for none."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])

    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return text and f"version{'' if text.isdecimal() else 's'} {text}"
