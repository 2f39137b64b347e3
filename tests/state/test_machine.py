"""The state against a model of it, in any order of operations."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from renate.errors import ConflictError, GoneError, NoVersionError, StateError
from renate.state.gc import gc
from renate.state.pins import pin, pins, unpin
from renate.state.publish import candidates, drop, publish, rollback, stage
from renate.state.versions import State

from .scenes import read_all

Content = dict[str, bytes]
jobs = st.sampled_from(["j1", "j2", "j3"])
names = st.sampled_from(["p1", "p2"])
contents = st.dictionaries(
    st.sampled_from("abc"), st.sampled_from([b"", b"1", b"2", b"33"]), min_size=1
)


@dataclass
class Model:
    # Content and job; the content of a removed one stays here
    versions: dict[int, tuple[Content, str | None]]
    gone: set[int]
    waiting: dict[str, tuple[int, Content]]  # base and content
    pins: dict[str, int]

    @property
    def newest(self) -> int:
        return max(self.versions, default=0)

    @property
    def live(self) -> list[int]:
        return [n for n in self.versions if n not in self.gone]


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda handle: None)  # durability has its own tests
        self.state = State(self.folder.name)
        self.model = Model({}, set(), {}, {})

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.patch.undo()
            self.folder.cleanup()

    @rule(job=jobs, content=contents, data=st.data())
    def stage(self, job: str, content: Content, data: Any) -> None:
        base = data.draw(st.sampled_from(self.model.live[-2:] or [0]), label="parent")
        old = self.model.versions[base][0] if base else {}
        given: dict[str, bytes | None] = {
            n: None if old.get(n) == c else c for n, c in content.items()
        }
        parent = (self.state, self.state.manifest(base)) if base else None
        if not base and self.model.versions:
            return
        candidate = stage(
            self.state, list(given.items()), job=job, parent=parent, lineage={"job": job}
        )
        assert read_all(self.state, candidate) == content
        self.model.waiting[job] = (base, content)

    @rule(job=jobs)
    def publish(self, job: str) -> None:
        model = self.model
        if job in model.waiting:
            base, content = model.waiting[job]
            if base == model.newest:
                published = publish(self.state, job)
                assert (published.version, published.job) == (base + 1, job)
                model.versions[base + 1] = (content, job)
                del model.waiting[job]
            else:
                with pytest.raises(ConflictError, match=f"version {base + 1} was published by job"):
                    publish(self.state, job)
            return
        before = [n for n, (_, by) in model.versions.items() if by == job]
        if not before:
            with pytest.raises(StateError, match=f"no candidate of job '{job}'"):
                publish(self.state, job)
        elif before[-1] in model.gone:
            with pytest.raises(GoneError, match=f"version {before[-1]} was removed"):
                publish(self.state, job)
        else:
            assert publish(self.state, job).version == before[-1]

    @rule(to=st.integers(1, 6))
    def rollback(self, to: int) -> None:
        model = self.model
        if to in model.live and to != model.newest:
            back = rollback(self.state, to)
            assert back.version == model.newest + 1
            model.versions[model.newest + 1] = (model.versions[to][0], back.job)
        else:
            expected = (
                GoneError
                if to in model.gone
                else StateError
                if to in model.live
                else NoVersionError
            )
            with pytest.raises(expected):
                rollback(self.state, to)

    @rule(name=names, version=st.integers(1, 6))
    def pin(self, name: str, version: int) -> None:
        if version in self.model.live:
            pin(self.state, name, version)
            self.model.pins[name] = version
        else:
            with pytest.raises(GoneError if version in self.model.gone else NoVersionError):
                pin(self.state, name, version)

    @precondition(lambda self: self.model.pins)
    @rule(data=st.data())
    def unpin(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.pins)))
        unpin(self.state, name)
        del self.model.pins[name]

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        job = data.draw(st.sampled_from(sorted(self.model.waiting)))
        drop(self.state, job)
        del self.model.waiting[job]

    @rule(keep=st.integers(1, 3))
    def gc(self, keep: int) -> None:
        model = self.model
        doomed = [n for n in model.live[:-keep] if n not in model.pins.values()]
        removed = gc(self.state, keep=keep, grace=0)
        assert removed.versions == doomed
        model.gone |= set(doomed)
        needed = [self.state.manifest(n) for n in model.live] + candidates(self.state)
        keys = {blob.key for manifest in needed for blob in manifest.files.values()}
        assert {f"blobs/{p.name}" for p in Path(self.folder.name, "blobs").glob("*")} == keys

    @invariant()
    def agrees(self) -> None:
        state = self.state
        model = self.model
        assert state.versions() == model.live
        assert state.numbers() == list(model.versions)
        newest = state.newest()
        assert (newest.version if newest else 0) == model.newest
        assert pins(state) == model.pins
        assert {c.job: (c.base, read_all(state, c)) for c in candidates(state)} == model.waiting
        assert {n: read_all(state, state.verify(n)) for n in model.live} == {
            n: model.versions[n][0] for n in model.live
        }


Machine.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase
