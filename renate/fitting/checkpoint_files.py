"""The checkpoints of a fit on a disk: one file, or one for each of several processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from renate.files import flush, replacing
from renate.libraries.torch import load_tensors
from renate.ranks import Ranks

CHECKPOINTS = "checkpoint*.pt"  # of all processes
Saved = dict[str, Any]


@dataclass(frozen=True)
class CheckpointFiles:
    """What is saved of one update's fit in a job's folder.

    Several processes write one file each, all after the same step, and keep the one before: a kill
    may come when some have written and others not. They go on from the last step that all have.

    Attributes:
        folder: The job's.
        update: The update's number; a checkpoint of another one is of no use.
        best: Where the best weights are kept.
        ranks: The processes that train together.
        content: What the fit's data hold, where the job's identity doesn't say it: a mirror may
            still have checkpoints of others.
    """

    folder: Path
    update: int
    best: Path
    ranks: Ranks
    content: str | None = None

    def newest(self) -> Saved | None:
        """The last checkpoint that can be continued; None where there is none.

        All processes must call it; it removes what none will continue.
        """
        if self.ranks.alone:
            alone = self._own(self.of_step(0))
            if alone is not None and self._has_best(alone):
                return self._beside_best(alone)
            return None

        steps = self.ranks.gather([int(file.stem.rpartition("-")[2]) for file in self.present()])
        for step in sorted(set.intersection(*map(set, steps)), reverse=True):
            saved = self._own(self.of_step(step))
            if all(self.ranks.gather(self._is_usable(saved))):
                self.keep(self.of_step(step))
                assert saved is not None
                return self._beside_best(saved)

        self.keep()

        return None

    def _is_usable(self, saved: Saved | None) -> bool:
        if saved is None or saved["ranks"] != self.ranks.size:
            return False
        return not self.ranks.first or self._has_best(saved)

    def _has_best(self, saved: Saved) -> bool:
        """Whether the best weights are at hand, or younger ones, that will be made again.

        On a disk they are: they are written first. Where both files are mirrored, one may lag
        behind the other; older weights are of no use.
        """
        if saved["best"] is None:
            return True

        best = self._own(self.best)
        return best is not None and bool(best["epoch"] >= saved["best_epoch"])

    def _beside_best(self, saved: Saved) -> Saved:
        """The checkpoint, with value and epoch of the best weights that are at hand.

        Weights that are younger than the checkpoint are made again, but on a GPU perhaps others,
        which aren't quite as good: what is published must be what its value was measured of.
        """
        if saved["best"] is None:
            return saved

        return saved | self.ranks.broadcast(self._noted_best)

    def _noted_best(self) -> dict[str, Any]:
        best = self._own(self.best)
        assert best is not None
        if "value" not in best:  # of before
            return {}
        return {"best": best["value"], "best_epoch": best["epoch"]}

    def _own(self, file: Path) -> Saved | None:
        """What a file holds; None also where it was made from other data."""
        saved = self.load(file)
        if saved is not None and saved.get("content") == self.content:
            return saved
        return None

    def load(self, file: Path) -> Saved | None:
        """What a file holds; None where it is missing, damaged, or of another update."""
        try:
            saved: Saved = load_tensors(file)
        except MemoryError:
            raise
        except Exception:  # of a damaged file torch's readers raise whatever they come to
            return None
        if saved["update"] == self.update:
            return saved
        return None

    def save(self, file: Path, content: Mapping[str, Any]) -> None:
        """Write a file, whole or not at all."""
        with replacing(file, durable=True) as temporary:
            torch.save(dict(content), temporary)

    def save_step(self, content: Mapping[str, Any]) -> None:
        """Write this process's checkpoint of the step that it is of, and have the best weights on
        the disk by then, which it goes on with.
        """
        if self.ranks.first and self.best.exists():
            flush(self.best)

        earlier = self.present()
        file = self.of_step(content["steps"])
        self.save(file, content)
        if not self.ranks.alone:
            self.keep(file, *earlier[-1:])

    def keep(self, *files: Path) -> None:
        """Remove this process's other checkpoints.

        Steps that not all processes have would take the place of those that all will.
        """
        for file in self.present():
            if file not in files:
                file.unlink()

    def of_step(self, step: int) -> Path:
        """This process's checkpoint of a step; one process alone has but one file."""
        if self.ranks.alone:
            return self.folder / "checkpoint.pt"
        return self.folder / f"checkpoint-{self.ranks.rank}-{step:09d}.pt"

    def present(self) -> list[Path]:
        """Every checkpoint of this process, the newest last."""
        own = "checkpoint.pt"
        if not self.ranks.alone:
            own = f"checkpoint-{self.ranks.rank}-*.pt"

        return sorted(self.folder.glob(own))
