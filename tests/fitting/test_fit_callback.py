"""The one callback calls each part in the order that the parts need."""

from types import SimpleNamespace
from typing import Any

import pytest

from renate.fitting.callback import FitCallback
from renate.fitting.progress import Progress


class EndedError(Exception):
    """What a job that must stop raises."""


class Recorder:
    """A validation, a checkpoint and a vote at once, which note what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.learner = SimpleNamespace(progress=Progress(total=20))
        self.wanted = (False, False)
        self.agreed = (False, False)
        self.stops = False

    def wishes(self) -> tuple[bool, bool]:
        return self.wanted

    def vote(self, due: bool, ending: bool) -> None:
        self.calls.append(f"vote {due} {ending}")
        if self.stops:
            raise EndedError

    def validate(self, trainer: Any) -> None:
        self.calls.append("validate")

    def restore(self, trainer: Any) -> None:
        self.calls.append("restore")

    def save_within_epoch(self, trainer: Any, *, ending: bool) -> None:
        self.calls.append(f"save within {ending}")

    def save_between_epochs(self, trainer: Any, *, ending: bool) -> None:
        self.calls.append(f"save between {ending}")

    def end_epoch(self, *_: Any) -> None:
        self.calls.append("end epoch")

    def tick(self, done: int, total: int, text: str) -> None:
        self.calls.append(f"tick {done}/{total}, {text}")


def made(parts: Recorder, *, several: bool, every: int | None) -> FitCallback:
    any_part: Any = parts
    sync = any_part if several else None
    return FitCallback(any_part, any_part, sync, parts.tick, every)


def after_step(step: int, epoch: int = 0) -> Any:
    return SimpleNamespace(global_step=step, current_epoch=epoch, max_epochs=3)


def test_after_a_step_all_is_measured_and_agreed_before_it_is_saved() -> None:
    parts = Recorder()
    callback = made(parts, several=True, every=5)
    parts.wanted = (True, False)
    parts.agreed = (True, True)  # another process was told to end
    callback.on_train_batch_end(after_step(5), None)  # type: ignore[arg-type]
    expected = ["validate", "vote True False", "save within True", "tick 5/20, epoch 1/3"]
    assert parts.calls == expected


def test_one_process_alone_goes_by_its_own_wishes() -> None:
    parts = Recorder()
    callback = made(parts, several=False, every=None)
    callback.on_train_batch_end(after_step(1), None)  # type: ignore[arg-type]
    callback.on_train_batch_end(after_step(2), None)  # type: ignore[arg-type]
    assert parts.calls == ["tick 1/20, epoch 1/3"], "a few times a second, not at each step"
    parts.wanted = (True, False)
    callback.on_train_batch_end(after_step(3), None)  # type: ignore[arg-type]
    assert parts.calls[1:] == ["save within False"]


def test_a_job_that_must_stop_saves_nothing() -> None:
    parts = Recorder()
    parts.stops = True
    parts.agreed = (True, True)
    callback = made(parts, several=True, every=None)
    with pytest.raises(EndedError):
        callback.on_train_batch_end(after_step(1), None)  # type: ignore[arg-type]
    assert parts.calls == ["vote False False"]


def test_a_step_is_measured_once() -> None:
    parts = Recorder()
    callback = made(parts, several=False, every=2)
    for step in (1, 2, 2, 3, 3, 4):  # with accumulated gradients, not every batch is a step
        callback.on_train_batch_end(after_step(step), None)  # type: ignore[arg-type]
    assert parts.calls.count("validate") == 2


@pytest.mark.parametrize("every", [None, 5])
def test_an_epoch_that_is_reported_can_be_cloned(every: int | None) -> None:
    parts = Recorder()
    callback = made(parts, several=True, every=every)
    callback.on_train_epoch_end(after_step(8), None)  # type: ignore[arg-type]
    by_epoch = ["validate"] if every is None else []
    assert parts.calls == ["end epoch", "end epoch", *by_epoch]


def test_between_two_epochs() -> None:
    parts = Recorder()
    parts.wanted = (True, True)
    callback = made(parts, several=False, every=None)
    callback.on_train_start(after_step(0), None)  # type: ignore[arg-type]
    callback.on_train_epoch_start(after_step(0, epoch=0), None)  # type: ignore[arg-type]
    assert parts.calls == ["restore"], "nothing was trained yet"
    callback.on_train_epoch_start(after_step(8, epoch=1), None)  # type: ignore[arg-type]
    assert parts.calls == ["restore", "save between True"]
