"""What a job needs of this machine: found first, uploaded later.

Its own config points to where it goes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from renate.build import targets
from renate.data.fingerprint import Hashes
from renate.errors import ConfigError
from renate.jobs import passed_objects
from renate.jobs.identity.data_files import check_all_named, files_of, if_remote, is_local
from renate.jobs.identity.image_tables import moved_files
from renate.jobs.identity.other_files import check_travels, moved_weights
from renate.jobs.records import JobRecord
from renate.state.aliases.standing import manifest_of
from renate.state.store import Store, open_store
from renate.state.versions import State

from ..base import ComposedJob
from ..composing.identity import CONFIG_FILE
from .job_folder import JobFolder
from .machine import Machine, check_scheme, check_variables
from .outcome.state_return import StateReturn, send

TAKEN = ("config.yaml", "job.json", "argv.json")  # what a job is told stands in these


@dataclass
class JobUpload:
    """One job's.

    Attributes:
        machine: Where it goes.
        folder: The job's own folder in the object store.
        staging: URL for code and for what is local here.
        config: As the job reads it.
        channel: The job's own files, by name.
        data: Files to upload, by key below `staging`.
        send: The local state that the job starts from, and its versions that the job needs.
        back: How the outcome comes to a local state; None where the job itself publishes it.
        state_name: Of the job's own state, within its folder.
    """

    machine: Machine
    folder: JobFolder
    staging: str
    config: DictConfig
    channel: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    send: tuple[State, list[int]] | None = None
    back: StateReturn | None = None
    state_name: str = "state"

    @property
    def state(self) -> str:
        """URL of the job's own state, which stands for local ones."""
        return f"{self.folder.url}/{self.state_name}"

    def add(self, job: ComposedJob) -> None:
        """Everything that the job's config names."""
        with open_dict(self.config):
            self.add_state(job)
            if self.machine.shared:
                return

            self.add_data(is_first=job.record.parent is None)
            self.add_passed_objects()
            self.add_config_file(self.config)

    def add_state(self, job: ComposedJob) -> None:
        """Point a local state to where it goes, and say how the outcome comes back."""
        name = job.config.job.name
        node = job.config.state
        if self.machine.shared and node.url is not None:
            return

        own = str(job.directory.path / "state")  # where no state is given
        url = node.url or own
        target = node.next_url or node.url or own

        if name != "evaluate" and is_local(target) and job.record.candidate is None:
            parent = None if name in ("stream", "simulate") else url
            publish = node.url is None or job.record.publish
            self.back = StateReturn(target, self.state, parent, publish, self.staging)

        if is_local(url):
            state = State(url)
            if name in ("stream", "simulate"):
                wanted = state.versions()
            else:
                wanted = _version_for(state, job)

            self.send = state, wanted
            self.config.state.url = self.state

        if self.back is not None or is_local(target):
            self.config.state.next_url = None if is_local(url) else self.state

    def add_data(self, *, is_first: bool) -> None:
        """Point the data's local files, and the model's, to where they go."""
        node = self.config.data
        cache = node.get("cache_dir")
        known = Hashes(Path(cache or "~/.cache/renate").expanduser() / "hashes.json")
        plain: Any = {
            key: OmegaConf.to_container(self.config[key], resolve=True) for key in ("data", "model")
        }
        files = files_of(plain["data"], list(self.config.trust))
        check_all_named(plain["data"], files)
        check_travels(plain, is_first=is_first)
        if moved := moved_weights(plain, self.staging, known, self.data):
            self.config.model.weights = moved

        for key, moved in moved_files(plain["data"], files, self.staging, known, self.data).items():
            if key not in node:
                raise ConfigError(
                    f"data: files() of {node._target_} names '{key}', which is no key of the "
                    f"config: backend={self.machine.backend} can't say where its copies are"
                )
            node[key] = moved

        known.save()

    def add_passed_objects(self) -> None:
        """What `renate.run(model=…, data=…)` was given travels in the job's channel."""
        plain: Any = OmegaConf.to_container(self.config, resolve=False)
        for key, target in targets(plain):
            if passed_objects.is_passed(target):
                node = OmegaConf.select(self.config, key)
                path = Path(node.path)
                self.add_file(key, path)
                node.path = f"{self.machine.channel}/{path.name}"

    def add_config_file(self, node: Any) -> None:
        """A config file travels in the job's channel; what it imports, with the code."""
        if OmegaConf.is_list(node):
            for value in node:
                self.add_config_file(value)
        if not OmegaConf.is_dict(node):
            return

        for key, value in node.items():
            if key != CONFIG_FILE:
                self.add_config_file(value)
            elif OmegaConf.is_dict(value) and value.get("path"):
                path = Path(str(value.path)).expanduser()
                self.add_file(f"{CONFIG_FILE}.path", path)
                value.path = f"{self.machine.channel}/{path.name}"

    def add_file(self, key: str, path: Path) -> None:
        """A file of the job's own travels under its name.

        Raises:
            ConfigError: Another one has that name already.
        """
        content = path.read_bytes()
        taken = path.name in self.machine.entry or path.name in TAKEN
        if taken or self.channel.setdefault(path.name, content) != content:
            raise ConfigError(
                f"{key}={path}: with backend={self.machine.backend} another file of the name "
                f"{path.name} lies beside it in the job: rename it"
            )

    def seal(self, record: JobRecord) -> None:
        """Add what every job has: its config, its record, its entry."""
        told = replace(record, home=self.folder.url).to_json()
        self.channel["config.yaml"] = OmegaConf.to_yaml(self.config).encode()
        self.channel["job.json"] = json.dumps(told, default=str).encode()
        for name, file in self.machine.entry.items():
            self.channel[name] = file.read_bytes()

    def upload(self, say: Callable[[str], None]) -> None:
        """Upload; what is there already isn't uploaded again.

        Args:
            say: Is told of what was uploaded.
        """
        store = open_store(self.staging)
        there: dict[str, set[str]] = {}
        for key, file in self.data.items():
            folder = key.rpartition("/")[0]
            if folder not in there:
                there[folder] = {entry.key for entry in store.list(folder)}
            if key not in there[folder]:
                store.put(key, file.read_bytes())
                say(f"uploaded {file} to {self.staging}/{key}")

        if self.send and self.send[1]:
            state, numbers = self.send
            place = self.state.removeprefix(f"{self.staging}/")
            blobs = send(state, numbers, self.staging, place)
            sent = f"version {numbers[-1]} of {state.url}"
            say(f"{sent} is at {self.state}, {blobs} blobs uploaded")

        for name, content in self.channel.items():
            self.folder.store.replace(f"job/{name}", content)


def _version_for(state: State, job: ComposedJob) -> list[int]:
    """The one version that a job starts from or measures; none where there is none."""
    parent = job.record.parent
    if job.config.job.name == "update" and parent is not None:
        return [parent.version]

    if job.config.job.name in ("update", "stream", "simulate"):
        return state.versions()[-1:]

    return [manifest_of(state, job.config.job.get("version")).base + 1]


def put_once(store: Store, key: str, content: bytes) -> None:
    """Write an object whose key says its content, unless it is there."""
    if not any(entry.key == key for entry in store.list(key.rpartition("/")[0])):
        store.put(key, content)


def pack(job: ComposedJob, settings: DictConfig, machine: Machine) -> JobUpload:
    """Find out what one job needs; nothing is uploaded.

    Args:
        job: Composed.
        settings: The group backend.
        machine: Where the job goes.

    Raises:
        ConfigError: Something is local and there is no place for it, or a variable would be
            missing.
    """
    upload = begin(job, settings, machine)
    upload.add(job)
    check_return(upload, settings)
    publish = job.config.state.url is None or job.record.publish
    upload.seal(replace(job.record, publish=publish))

    return upload


def begin(job: ComposedJob, settings: DictConfig, machine: Machine) -> JobUpload:
    """An empty one, with its places in the object store; raises as `pack` does."""
    if job.config.job.name == "predict":
        here = "job=predict writes to this machine, data and state may be elsewhere"
        raise ConfigError(f"backend={machine.backend}: {here}: backend=local")
    state = job.config.state
    for key in ("url", "next_url"):
        if state[key] is not None and not is_local(state[key]) and not machine.shared:
            check_scheme(key, str(state[key]), machine)

    check_variables(job, settings, machine)

    # A local state goes where everything local goes, so that what is sent once can be copied there.
    remote = if_remote(state.url)
    staging = settings.staging or remote or if_remote(state.next_url)

    if staging is None:
        raise ConfigError(
            f"state.url={state.url}: backend={machine.backend} needs a place in {machine.store}: "
            f"state.url={machine.example}, or for a local state backend.staging={machine.example}"
        )

    # A folder that jobs see is nearer than an object store
    base = str(staging if is_local(str(staging)) else remote or staging).rstrip("/")
    folder = JobFolder(f"{base}/jobs/{job.id}")

    return JobUpload(machine, folder, str(staging).rstrip("/"), job.own_config())


def check_return(upload: JobUpload, settings: DictConfig) -> None:
    """Raises ConfigError where an outcome is to come back and nobody waits for it."""
    if upload.back is not None and not settings.wait:
        raise ConfigError(
            f"backend.wait=false: nobody would bring the outcome to {upload.back.url}: "
            f"give state.next_url={upload.machine.example}"
        )
