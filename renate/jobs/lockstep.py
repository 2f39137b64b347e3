"""Several processes train one model: what they must decide alike, they decide together after each step."""

from typing import Any

import pytorch_lightning as pl

from renate.jobs.checkpoint import Checkpoint
from renate.jobs.directory import JobDirectory, Stopped
from renate.memory.store.memory import Memory
from renate.memory.store.shards import align_ids, sync_counts
from renate.ranks import Ranks


class Lockstep(pl.Callback):
    """Votes on checkpoints, on ending and on stopping, and tells the memory's shards of each other.

    Args:
        ranks: The processes.
        memory: This one's shard.
        checkpoint: Is told what was agreed, and so must come after this callback.
        directory: The first process looks there whether the job was asked to stop.
    """

    def __init__(self, ranks: Ranks, memory: Memory, checkpoint: Checkpoint, directory: JobDirectory) -> None:
        self.ranks, self.memory, self.checkpoint, self.directory = ranks, memory, checkpoint, directory

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Lightning's own vote on SIGTERM costs a broadcast a step, and a wait for the GPU; this one replaces it.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        due, ending = self.checkpoint.wishes()
        stop = self.ranks.first and self.directory.asked_to_stop
        counts = [0] * self.ranks.size
        counts[self.ranks.rank] = self.memory.count
        votes = self.ranks.agree([due, ending, stop, *counts])
        sync_counts(self.memory, votes[3:])
        if votes[2]:
            raise Stopped
        self.checkpoint.agreed = bool(votes[0]), bool(votes[1])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        align_ids(self.memory, self.ranks)
