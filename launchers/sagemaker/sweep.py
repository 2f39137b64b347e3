"""A whole sweep as one training job: how it is packed, and how its outcomes come back to what is local."""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.build import targets
from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.jobs.text import quoted

from ..compose import Job
from ..report import relative
from ..whole import unpack
from . import bootstrap
from .local_state import Return
from .shipment import LIVE, Shipment, begin, check_return, check_variables

MOVED = ("state.url", "state.next_url", "data.train", "data.test")


def pack_sweep(job: Job, settings: DictConfig) -> Shipment:
    """As `shipment.pack`, for all parts of a sweep; the job's record gets what comes back, and where.

    Raises:
        ConfigError: As `shipment.pack`; or one machine can't do it.
    """
    if settings.instance_count > 1:
        raise ConfigError(
            f"backend.instance_count={settings.instance_count}: one machine runs a whole sweep; "
            "backend.sweep=per_trial gives each job as many"
        )
    shipment, order = begin(job, settings), job.record["sweep"]
    tuned, known = "argv" in order, job.record.setdefault("back", [])
    for number, part in enumerate(job.parts):
        check_variables(part, settings)
        own = part.config.state.url is None and not tuned  # without a URL each job has a state of its own
        one = Shipment(shipment.home, shipment.staging, copy.deepcopy(part.config))
        one.folder = f"states/{part.id}" if own else one.folder
        one.add(part)
        check_return(one, settings)
        _merge(shipment, one)
        if one.back is not None:
            known.append({"part": part.id, "back": asdict(one.back)})
        if tuned:
            _complete(order, part, one)
        else:
            place = {key: one.config.state[key] for key in ("url", "next_url")} if own else None
            order["jobs"][number] |= {"more": moves(part.config, one.config), "state": place}
    order |= {"workers": settings.workers, "price": settings.price_per_hour, "run_dir": str(job.config.run_dir)}
    shipment.channel[bootstrap.ORDER] = json.dumps(order, default=str).encode()
    record = {key: value for key, value in job.record.items() if key not in ("sweep", "back")}
    shipment.seal(record, settings.requirements)
    return shipment


def _merge(whole: Shipment, one: Shipment) -> None:
    whole.data |= one.data
    whole.channel |= one.channel
    if one.send and one.send[1]:
        earlier = whole.send[1] if whole.send else []
        whole.send = one.send[0], sorted({*earlier, *one.send[1]})


def _complete(order: Json, part: Job, one: Shipment) -> None:
    """What a tuner is told besides the command line: where things are there, and what the sweep is known as here."""
    order["more"] = moves(part.config, one.config)
    moved = next((line for line in order["more"] if line.startswith("data.")), None)
    swept = next((line for line in order["argv"] if line.lstrip("+").partition("=")[0] in order["tuned"]), None)
    if moved is not None and swept is not None and swept.lstrip("+").startswith("data"):
        raise ConfigError(
            f"{swept}: local data that change from trial to trial: give them as s3://…, or backend.sweep=per_trial"
        )
    record, url = order["record"], one.config.state.url
    if record is None:  # a stream publishes by itself
        order["more"] += [] if part.config.state.url else [f"state.url={quoted(url)}"]
        return
    if one.back is not None:
        record["to"] = one.back.remote
    if record["parent"] is not None:
        record["parent"] = record["parent"] | {"url": url}


def moves(before: DictConfig, after: DictConfig) -> list[str]:
    """Overrides for what is elsewhere, seen from a job."""
    plain: Any = OmegaConf.to_container(after, resolve=False)
    live = [f"{key}.path" for key, target in targets(plain) if target.startswith(LIVE)]
    return list(_changes(before, after, [*MOVED, *live]))


def _changes(before: DictConfig, after: DictConfig, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        old, new = OmegaConf.select(before, key), OmegaConf.select(after, key)
        if old is not None and old != new:
            value = OmegaConf.to_container(new, resolve=True) if OmegaConf.is_config(new) else new
            yield f"{key}={quoted(value)}"


def returned(job: Job, result: Json) -> Json:
    """A sweep's result as it is on this machine; its trials or jobs are written down, local states have received."""
    swept = result.pop("sweep", None)
    if swept is None:  # it ended before it began
        return result
    jobs = {each["id"]: each["result"] for each in swept.get("jobs", [])}
    for each in job.record.get("back", []):
        back, name = Return(**each["back"]), each["part"]
        one = jobs.get(name, result)
        if one["status"] != "completed":
            continue
        stream = "argv" in job.record["sweep"] and job.record["sweep"]["record"] is None
        version = back.receive(None if stream else name)
        _told(result, one, version, back)
        one |= {"version": version, "url": back.url}
    unpack(job.directory, swept)
    return result


def _told(result: Json, one: Json, version: int | None, back: Return) -> None:
    """The words of the other machine name its version and URL."""
    theirs = f"version     {one['version']} of {one['url']}"
    ours = f"version     {version} of {relative(back.url)}"
    result["printed"] = result["printed"].replace(theirs, ours)
