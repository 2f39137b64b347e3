"""Whether an update does the same on a GPU: losses, precisions, a resumed fit, a memory."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import step_time
import torch
from step_time import CASES, Case, Setting, ours, setting

import renate.jobs.fit
from renate.data.batch import Batch

STEPS = 50
APART = 1e-4  # of two losses, that is called agreement
LAST = 10  # steps whose mean loss two precisions are compared by
CASES["agree: mlp"] = Case("mlp", 32, (1, 28, 28), STEPS, 0.0)
CASES["agree: transformer"] = Case("transformer", 32, (1, 28, 28), STEPS, 0.0)
CASES["agree: resnet18"] = Case("resnet18", 32, (3, 32, 32), 10, 0.0)


class Stopped(step_time.Stamped):
    """Batches that end the process, as a scheduler would, when one of them is asked for."""

    at: int | None = None

    def __iter__(self) -> Any:
        for number, batch in enumerate(super().__iter__(), 1):
            if number == self.at:
                Stopped.at = None
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch


def fitted(
    case: str, updater: str, folder: Path, device: torch.device, more: Sequence[str] = ()
) -> tuple[Setting, list[float]]:
    """A fit, and the loss of each of its steps."""
    shutil.rmtree(folder / "job", ignore_errors=True)
    return resumed(case, updater, folder, device, more)


def resumed(
    case: str, updater: str, folder: Path, device: torch.device, more: Sequence[str] = ()
) -> tuple[Setting, list[float]]:
    """The same, from the checkpoint that a fit in the same folder has left, if it has."""
    at = setting(case, updater, folder, device, more)
    losses: list[torch.Tensor] = []
    inner = at.made.loss

    def loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        found = inner(model, batch)
        losses.append(found.detach())
        return found

    at.made.loss = loss  # type: ignore[method-assign]
    ours(at)
    return at, [float(each) for each in losses]


def agreement(folder: Path, device: torch.device, cases: Sequence[str]) -> list[str]:
    """Losses step by step, on the CPU and on the device."""
    rows = []
    for case in cases:
        for updater in ("er", "derpp"):
            _, here = fitted(case, updater, folder, torch.device("cpu"))
            threads = torch.get_num_threads()
            if device.type == "cpu":
                torch.set_num_threads(2 if threads == 1 else 1)  # sums in another order
            _, there = fitted(case, updater, folder, device)
            torch.set_num_threads(threads)
            apart = float(np.abs(np.subtract(here, there)).max())
            assert len(here) == len(there) == CASES[case].steps
            verdict = "agrees" if apart < APART else "**apart**"
            rows.append(
                f"| {case.removeprefix('agree: ')}, {updater} | losses of {len(here)} steps, "
                f"furthest apart: {apart:.1e} | {verdict} |"
            )
            print(rows[-1], flush=True)

    return rows


def precisions(folder: Path, device: torch.device) -> list[str]:
    """What a mixed precision makes of the loss."""
    _, plain = fitted("agree: mlp", "derpp", folder, device)
    expected = float(np.mean(plain[-LAST:]))
    rows = []
    for precision in ("bf16-mixed", "16-mixed"):
        if precision == "16-mixed" and device.type == "cpu":
            rows.append("| mlp, derpp, 16-mixed | needs a GPU | not run |")
            continue

        _, found = fitted("agree: mlp", "derpp", folder, device, [f"trainer.precision={precision}"])
        reached = float(np.mean(found[-LAST:]))
        close = abs(reached - expected) < 0.05 * expected
        rows.append(
            f"| mlp, derpp, {precision} | mean loss of the last {LAST} steps {reached:.4f}, "
            f"{expected:.4f} in 32 bits | {'agrees' if close else '**apart**'} |"
        )
        print(rows[-1], flush=True)

    return rows


def same_bits(one: Setting, two: Setting) -> bool:
    """Whether weights and memory of two fits are the same, bit for bit."""
    a = one.model.state_dict()
    b = two.model.state_dict()
    held = one.memory.columns()
    other = two.memory.columns()
    return all(torch.equal(a[name], b[name]) for name in a) and all(
        torch.equal(held[name], other[name]) for name in held
    )


def resume(folder: Path, device: torch.device) -> list[str]:
    """A fit that is told to end half way and goes on, beside one that wasn't."""
    case = "agree: mlp"
    whole, _ = fitted(case, "derpp", folder, device)
    before = renate.jobs.fit.Batches  # type: ignore[attr-defined]
    renate.jobs.fit.Batches = Stopped  # type: ignore[attr-defined]
    Stopped.at = STEPS // 2
    try:
        fitted(case, "derpp", folder, device)
        ended = "it ran on to its end"
    except SystemExit as told:
        ended = f"it ended with {told.code}"

    rest, losses = resumed(case, "derpp", folder, device)
    renate.jobs.fit.Batches = before  # type: ignore[attr-defined]
    assert 0 < len(losses) < STEPS, f"{ended}, and the rest had {len(losses)} steps"
    verdict = "the same bits" if same_bits(whole, rest) else "**other bits**"
    return [
        f"| mlp, derpp, SIGTERM at step {STEPS // 2} | {ended}; {len(losses)} steps were left | "
        f"{verdict} |"
    ]


def kept(folder: Path, device: torch.device) -> list[str]:
    """What a memory keeps of rows that lie on the host, and of rows that lie on the device."""
    found = {}
    for place in ("cpu", "device"):
        found[place], _ = fitted("agree: mlp", "derpp", folder, device, [f"data.device={place}"])

    host = found["cpu"].memory.columns()
    there = found["device"].memory.columns()
    equal = all(torch.equal(host[name], there[name]) for name in ("inputs", "targets"))
    apart = float((host["logits"] - there["logits"]).abs().max())
    verdict = "agrees" if equal and apart < APART else "**apart**"
    return [
        f"| memory of derpp, rows on the host and on the device | {len(found['cpu'].memory)} "
        f"examples, logits furthest apart: {apart:.1e} | {verdict} |"
    ]
