"""Ctrl-C and SIGTERM in the midst of OmegaConf's work, where they would come out as an
AttributeError.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import ListConfig

from renate.launchers.composing.interruptions import held_back
from renate.launchers.composing.mistakes import one_line
from renate.launchers.composing.session import opened

Interrupt = Callable[[signal.Signals], list[int]]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupt]:
    """Have a signal come the next time that OmegaConf is about to put something in a list;
    returns when it did.
    """
    terminated = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))

    def order(number: signal.Signals) -> list[int]:
        came: list[int] = []
        set_item = ListConfig._set_item_impl

        def interrupted(self: ListConfig, key: Any, value: Any) -> None:
            if not came and self.__dict__["_flags_cache"] is not None:  # else it does not stumble
                came.append(number)
                signal.raise_signal(number)
            set_item(self, key, value)

        monkeypatch.setattr(ListConfig, "_set_item_impl", interrupted)
        return came

    yield order
    signal.signal(signal.SIGTERM, terminated)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_job_is_composed_to_its_end(
    workdir: Path, interrupt: Interrupt, number: signal.Signals, error: type[BaseException]
) -> None:
    with opened([]) as (launcher, _, _):
        composer = launcher.composer
    came = interrupt(number)
    with pytest.raises(error):
        composer.compose(0, ["model.hidden_sizes=[3]"])
    assert came
    assert composer.compose(0, ["model.hidden_sizes=[3]"]).config.model.hidden_sizes == [3]


def test_what_hydra_makes_of_one_is_one_still(workdir: Path, interrupt: Interrupt) -> None:
    interrupt(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), opened(["model.hidden_sizes=[3]"]):
        pass


def test_an_attribute_error_stays_one() -> None:
    with pytest.raises(AttributeError, match="nothing"), one_line([]):
        object().nothing  # type: ignore[attr-defined]  # noqa: B018


def test_those_that_are_held_back_come_once_each_and_find_what_was_there_before() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with held_back():
            with held_back():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            assert heard == []
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_interpreters_end_is_quiet(workdir: Path) -> None:
    script = "import os, signal; from renate.launchers.composing.interruptions import at_exit; "
    script += "at_exit(lambda: os.kill(os.getpid(), signal.SIGINT))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stderr == ""
