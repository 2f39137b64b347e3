"""`renate state ls | show | verify | publish | promote | …`: look after a state."""

import argparse
from pathlib import Path

from omegaconf import OmegaConf

from renate.cli import aliases, listing
from renate.cli.counts import count_of
from renate.cli.lineage import lines_of, of_parent
from renate.cli.listing import existing, scores_of
from renate.compat.states import command as import_command
from renate.data.contract.text import to_yaml
from renate.errors import JobError, StateError
from renate.jobs.directory import JobDirectory
from renate.jobs.saved.contract import contract_of
from renate.jobs.saved.shown_inputs import shown_inputs
from renate.launchers.terminal.console import stdout
from renate.state import pins as pinning
from renate.state import publish as publishing
from renate.state.aliases.move import take_away
from renate.state.aliases.standing import manifest_of, names_of, resolve
from renate.state.aliases.verdict import KEY
from renate.state.gc import gc as collect
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.tuning.on_disk.sweep_folder import publish_best
from renate.tuning.on_disk.sweep_record import RECORD, SweepRecord

DAY = 24 * 3600


def run(argv: list[str]) -> None:
    """The verb."""
    parser = argparse.ArgumentParser(
        prog="renate state", description="Look after the versions of a state."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str, *arguments: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        for argument in arguments:
            added.add_argument(argument.strip("?"), nargs="?" if argument.endswith("?") else None)
        return added

    added = verb("ls", "versions, pins and candidates, a line each", "url")
    added.add_argument(
        "--last", type=count_of("--last"), help="read and list so many of the newest versions alone"
    )
    verb("show", "one version: lineage, metrics, files", "url", "version?")
    verb(
        "verify",
        "read every byte of a version, or of all, and compare it with its manifest",
        "url",
        "version?",
    )
    added = verb("publish", "make a job's candidate the next version", "job")
    added.add_argument("--url", help="the state; default: where the job's config says")
    added = verb(
        "promote", "let an alias name a version: `current` is the one in use", "url", "version?"
    )
    aliases.add_arguments(added)
    verb("rollback", "publish an old version's content as a new version", "url", "version")
    verb("contract", "what data may be like, as YAML to be read and edited", "url", "version?")
    verb("pin", "give a version a name; gc keeps what has one", "url", "name", "version")
    verb("unpin", "take a name away", "url", "name")
    added = verb("gc", "remove old versions that have no name, and what nothing needs", "url")
    added.add_argument(
        "--keep", type=count_of("--keep"), default=3, help="newest versions to keep; default 3"
    )
    added.add_argument(
        "--grace-days", type=float, default=1.0, help="spare what is younger; default 1"
    )
    import_command.add_arguments(verb("import", "take over a state that Renate 0.5 wrote"))
    asked = parser.parse_args(argv)
    if asked.verb == "import":
        import_command.run(asked)
    elif asked.verb == "ls":
        listing.ls(State(asked.url), asked.last)
    elif asked.verb == "promote":
        aliases.promote(asked)
    else:
        globals()[asked.verb](asked)


def show(asked: argparse.Namespace) -> None:
    """One version: lineage, metrics, files."""
    state = State(asked.url)
    manifest = state.manifest(resolve(state, asked.version) if asked.version else None)
    out = stdout()
    out.print(f"version    {manifest.version} of {state.url}", markup=False)
    for name in ("created", "job"):
        out.print(f"{name:10s} {getattr(manifest, name) or '–'}", markup=False)
    out.print(f"parent     {of_parent(manifest.parent)}", markup=False)

    for line in aliases.lines_of(state, manifest):
        out.print(line, markup=False)

    for name, text in lines_of(manifest, but=[KEY]):
        out.print(f"{name:10s} {text}", markup=False)

    for line in shown_inputs(state, manifest):
        out.print(line, markup=False)

    for test, scores in scores_of(state, manifest).items():
        out.print(
            f"{test:10s} " + "  ".join(f"{k} {v:.4f}" for k, v in scores.items()), markup=False
        )

    for name, blob in sorted(manifest.files.items()):
        out.print(f"  {blob.size:>12,d}  {blob.sha256[:12]}  {name}", markup=False)


def contract(asked: argparse.Namespace) -> None:
    """Print what a version's data are held against.

    Raises:
        StateError: It keeps nothing of that.
    """
    state = State(asked.url)
    manifest = manifest_of(state, asked.version)
    found = contract_of(state, manifest)
    if found is None:
        raise StateError(
            f"{state.url}: {manifest} keeps no contract, as it was written before there were any, "
            "or by contract=none: nothing is checked; data.contract=FILE gives the next one a "
            "contract"
        )
    print(to_yaml(found), end="")


def verify(asked: argparse.Namespace) -> None:
    """Read every byte of a version, or of all. Raises CorruptError."""
    state = State(asked.url)
    for number in [resolve(state, asked.version)] if asked.version else existing(state):
        manifest = state.verify(number)
        size = sum(blob.size for blob in manifest.files.values())
        print(f"version {number}: {len(manifest.files)} files, {size:,} bytes, as published")


def publish(asked: argparse.Namespace) -> None:
    """Make the candidate of a job, or a sweep's best, the next version. Raises JobError."""
    for path in (Path(asked.job), Path("runs", asked.job)):
        if (path / RECORD).is_file():
            manifest = publish_best(path)
            print(f"version {manifest.version} of {SweepRecord.read(path).to}")
            return

    folder = next(
        (p for p in (Path(asked.job), Path("runs", asked.job)) if (p / "job.json").is_file()), None
    )
    if folder is None:
        raise JobError(
            f"{asked.job}: neither a job's folder nor an id in ./runs; renate jobs ls lists them"
        )

    directory = JobDirectory(folder)
    config = OmegaConf.load(folder / "config.yaml")
    own = str(folder / "state")
    url = asked.url or config.state.next_url or config.state.url or own

    if config.state.url is None and str(Path(url).absolute()) != str(Path(own).absolute()):
        manifest = _publish_own(State(own), State(url), directory.record.id)
    else:
        manifest = publishing.publish(State(url), directory.record.id)

    print(f"version {manifest.version} of {url}{aliases.standing_of(State(url), manifest)}")


def _publish_own(own: State, to: State, job: str) -> Manifest:
    """Take the version that a job without `state.url` has made for itself to a state that has none
    yet.

    Raises:
        JobError: That state goes on from something else.
    """
    newest = to.newest()
    if newest is not None and newest.job != job:
        raise JobError(
            f"{to.url} holds version {newest.version}, and job '{job}' started from nothing: "
            f"run it again with state.url={to.url}, or publish to a new place"
        )

    if newest is None:
        publishing.adopt(to, (own, own.manifest()), [], job=job, parent=None, lineage={})

    return publishing.publish(to, job)


def rollback(asked: argparse.Namespace) -> None:
    """Publish an old version's content as a new version."""
    state = State(asked.url)
    manifest = publishing.rollback(state, resolve(state, asked.version))
    print(f"version {manifest.version} has the content of version {asked.version}")


def pin(asked: argparse.Namespace) -> None:
    """Give a version a name."""
    state = State(asked.url)
    number = resolve(state, asked.version)
    pinning.pin(state, asked.name, number)
    print(f"{asked.name} is version {number}")


def unpin(asked: argparse.Namespace) -> None:
    """Take a name away."""
    state = State(asked.url)
    if asked.name in names_of(state):
        take_away(state, asked.name)
    else:
        pinning.unpin(state, asked.name)
    print(f"{asked.name} is gone")


def gc(asked: argparse.Namespace) -> None:
    """Remove old versions that have no pin, and what nothing needs."""
    done = collect(State(asked.url), keep=asked.keep, grace=asked.grace_days * DAY)
    versions = ", ".join(map(str, done.versions)) or "none"
    print(
        f"versions removed: {versions}; {done.blobs} blobs ({done.bytes:,} bytes), "
        f"{done.leftovers} leftovers"
    )
