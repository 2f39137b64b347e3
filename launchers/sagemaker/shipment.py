"""What a job needs that is on this machine: found first, uploaded later; the job's own config points to where it goes."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from renate.build import targets
from renate.data.fingerprint import Hashes, expand
from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.state.store import Store, open_store

from ..compose import Job
from ..secrets import variables
from . import bootstrap
from .home import Home

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
    """

    home: Home
    staging: str
    config: DictConfig
    channel: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)

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

    def seal(self, record: Json) -> None:
        """Add what every job has: its config, its record, its entry."""
        self.channel["config.yaml"] = OmegaConf.to_yaml(self.config).encode()
        self.channel["job.json"] = json.dumps(record | {"home": self.home.url}, default=str).encode()
        self.channel["bootstrap.py"] = Path(bootstrap.__file__).read_bytes()

    def upload(self) -> list[str]:
        """Upload; data that is there already isn't. Returns the keys of what was."""
        store, sent = open_store(self.staging), []
        for key, file in self.data.items():
            if put_once(store, key, file):
                sent.append(key)
        for name, content in self.channel.items():
            self.home.store.replace(f"job/{name}", content)
        return sent


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
    state = job.config.state
    base = next((url for url in (state.url, state.next_url, settings.staging) if url and url.startswith("s3://")), None)
    if base is None:
        raise ConfigError(
            f"state.url={state.url}: backend=sagemaker needs a place in S3: state.url=s3://bucket/prefix, "
            "or backend.staging=s3://bucket/prefix for a local state"
        )
    _check_variables(job, settings)
    base, staging = base.rstrip("/"), str(settings.staging or base).rstrip("/")
    shipment = Shipment(Home(f"{base}/jobs/{job.id}"), staging, copy.deepcopy(job.config))
    with open_dict(shipment.config):
        shipment.add_data()
        shipment.add_live_objects()
    shipment.seal(job.record)
    return shipment


def _check_variables(job: Job, settings: DictConfig) -> None:
    for key, name in variables(job.config):
        if not key.startswith("backend.") and name not in settings.environment:
            raise ConfigError(
                f"{key} needs {name} in the job's environment, where nothing of this machine's is: "
                f"backend.environment.{name}=…; who may describe the job can read it"
            )
