"""What a job needs of this machine: found first, uploaded later; the job's own config points to where it goes."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from renate.build import targets
from renate.data.fingerprint import Hashes, expand
from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.state.store import Store, open_store
from renate.state.versions import State

from ..compose import Job
from ..secrets import variables
from . import bootstrap
from .home import Home
from .local_state import Return, send

LIVE = "renate.jobs.live."  # objects of the calling process, in files


@dataclass
class Shipment:
    """One job's.

    Attributes:
        home: The job's folder.
        staging: URL for code and for what is local here.
        config: As the job reads it.
        channel: Files of the job's own channel, by name.
        data: Files to upload, by key below `staging`.
        send: The local state that the job starts from, and its versions that the job needs.
        back: How the outcome comes to a local state; None where the job itself publishes it.
        folder: Of the job's own state, within its home.
    """

    home: Home
    staging: str
    config: DictConfig
    channel: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    send: tuple[State, list[int]] | None = None
    back: Return | None = None
    folder: str = "state"

    @property
    def state(self) -> str:
        """URL of the job's own state, which stands for local ones."""
        return f"{self.home.url}/{self.folder}"

    def add(self, job: Job) -> None:
        """Everything that the job's config names."""
        with open_dict(self.config):
            self.add_state(job)
            self.add_data()
            self.add_live_objects()

    def add_state(self, job: Job) -> None:
        """Point a local state to where it goes, and say how the outcome comes back."""
        name, node = job.config.job.name, job.config.state
        own = str(job.directory.path / "state")  # where no state is given
        url, target = node.url or own, node.next_url or node.url or own
        if name != "evaluate" and is_local(target) and "candidate" not in job.record:
            parent = None if name == "stream" else url
            publish = node.url is None or bool(job.record.get("publish"))
            self.back = Return(target, self.state, parent, publish, self.staging)
        if is_local(url):
            state = State(url)
            wanted = state.versions() if name == "stream" else self._one(state, job)
            self.send, self.config.state.url = (state, wanted), self.state
        if self.back is not None or is_local(target):
            self.config.state.next_url = None if is_local(url) else self.state

    @staticmethod
    def _one(state: State, job: Job) -> list[int]:
        parent = job.record.get("parent")
        if job.config.job.name == "update" and parent is not None:
            return [int(parent["version"])]
        wanted = job.config.job.get("version")
        if wanted is not None:
            return [state.resolve(str(wanted))]
        return state.versions()[-1:]

    def add_data(self) -> None:
        """Point the data's local files to where they go."""
        node, cache = self.config.data, self.config.data.get("cache_dir")
        known = Hashes(Path(cache or "~/.cache/renate").expanduser() / "hashes.json")
        for part in ("train", "test"):
            value = node.get(part)
            if value is not None and not (isinstance(value, DictConfig) and "_target_" in value):
                plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
                node[part] = self._moved(plain, f"data.{part}", known)
        known.save()

    def _moved(self, patterns: Any, key: str, known: Hashes) -> Any:
        if isinstance(patterns, Mapping):
            return {name: self._moved(part, key, known) for name, part in patterns.items()}
        if isinstance(patterns, list):
            moved = [self._moved(part, key, known) for part in patterns]
            return [url for part in moved for url in (part if isinstance(part, list) else [part])]
        if not is_local(patterns):
            return patterns
        urls = []
        for file in map(Path, expand(patterns, key)):
            place = f"data/{known.of(file)}/{file.name}"
            self.data[place] = file
            urls.append(f"{self.staging}/{place}")
        return urls

    def add_live_objects(self) -> None:
        """What `renate.run(model=…, data=…)` was given travels in the job's channel."""
        plain: Any = OmegaConf.to_container(self.config, resolve=False)
        for key, target in targets(plain):
            if target.startswith(LIVE):
                node = OmegaConf.select(self.config, key)
                path = Path(node.path)
                self.channel[path.name] = path.read_bytes()
                node.path = f"{bootstrap.CHANNEL}/{path.name}"

    def seal(self, record: Json, requirements: str | None) -> None:
        """Add what every job has: its config, its record, its entry; and the packages that it asks for."""
        self.channel["config.yaml"] = OmegaConf.to_yaml(self.config).encode()
        self.channel["job.json"] = json.dumps(record | {"home": self.home.url}, default=str).encode()
        if requirements is not None:
            self.channel["requirements.txt"] = Path(requirements).expanduser().read_bytes()
        self.channel["bootstrap.py"] = Path(bootstrap.__file__).read_bytes()

    def upload(self, say: Callable[[str], None]) -> None:
        """Upload; what is there already isn't uploaded again."""
        store = open_store(self.staging)
        for key, file in self.data.items():
            if put_once(store, key, file):
                say(f"uploaded {file} to {self.staging}/{key}")
        if self.send and self.send[1]:
            state, numbers = self.send
            blobs = send(state, numbers, self.staging, self.state.removeprefix(f"{self.staging}/"))
            say(f"version {numbers[-1]} of {state.url} is at {self.state}, {blobs} blobs uploaded")
        for name, content in self.channel.items():
            self.home.store.replace(f"job/{name}", content)


def put_once(store: Store, key: str, content: Path | bytes) -> bool:
    """Write an object whose key says its content, unless it is there; whether it was written."""
    if any(entry.key == key for entry in store.list(key.rpartition("/")[0])):
        return False
    store.put(key, content if isinstance(content, bytes) else content.read_bytes())
    return True


def is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def pack(job: Job, settings: DictConfig) -> Shipment:
    """Find out what one job needs; nothing is uploaded.

    Raises:
        ConfigError: Something is local and there is no place for it, or a variable would be missing in the job.
    """
    shipment = begin(job, settings)
    shipment.add(job)
    check_return(shipment, settings)
    record = job.record | {"publish": job.config.state.url is None or bool(job.record.get("publish"))}
    shipment.seal(record, settings.requirements)
    return shipment


def begin(job: Job, settings: DictConfig) -> Shipment:
    """An empty one, with its places in S3; raises as `pack` does."""
    state = job.config.state
    for key in ("url", "next_url"):
        if state[key] is not None and not is_local(state[key]) and not state[key].startswith("s3://"):
            raise ConfigError(f"state.{key}={state[key]}: backend=sagemaker knows s3://bucket/prefix and local folders")
    check_variables(job, settings)
    # A local state goes where everything local goes, so that what is sent once can be copied there.
    remote, further = (url if url and not is_local(url) else None for url in (state.url, state.next_url))
    staging = settings.staging or remote or further
    if staging is None:
        raise ConfigError(
            f"state.url={state.url}: backend=sagemaker needs a place in S3: state.url=s3://bucket/prefix, "
            "or for a local state backend.staging=s3://bucket/prefix"
        )
    base, staging = str(remote or staging).rstrip("/"), str(staging).rstrip("/")
    return Shipment(Home(f"{base}/jobs/{job.id}"), staging, copy.deepcopy(job.config))


def check_return(shipment: Shipment, settings: DictConfig) -> None:
    """Raises ConfigError where an outcome is to come back and nobody waits for it."""
    if shipment.back is not None and not settings.wait:
        raise ConfigError(
            f"backend.wait=false: nobody would bring the outcome to {shipment.back.url}: "
            "give state.next_url=s3://bucket/prefix"
        )


def check_variables(job: Job, settings: DictConfig) -> None:
    for key, name in variables(job.config):
        if not key.startswith("backend.") and name not in settings.environment:
            raise ConfigError(
                f"{key} needs {name} in the job's environment, where nothing of this machine's is: "
                f"+backend.environment.{name}=…; who may describe the job can read it"
            )
