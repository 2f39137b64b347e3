"""Several processes train one model: what they must decide alike, they decide after each step."""

from collections.abc import Callable
from typing import NoReturn

from renate.memory.store.memory import Memory
from renate.memory.store.shards import align_ids, sync_counts
from renate.ranks import Ranks


class RankSync:
    """Votes on checkpoints, on ending and on stopping, and tells the memory's shards of each other.

    Args:
        ranks: The processes.
        memory: This one's shard.
        asked_to_stop: Whether somebody asked the job to stop; the first process looks.
        stop: Ends the job for that.

    Attributes:
        agreed: Whether a checkpoint is due, and whether the job was told to end, by the last vote.
    """

    def __init__(
        self,
        ranks: Ranks,
        memory: Memory,
        asked_to_stop: Callable[[], bool],
        stop: Callable[[], NoReturn],
    ) -> None:
        self.ranks = ranks
        self.memory = memory
        self.asked_to_stop = asked_to_stop
        self.stop = stop
        self.agreed = (False, False)

    def vote(self, due: bool, ending: bool) -> None:
        """Agree on what at least one of the processes wants; all stop if the job was asked to."""
        stop = self.ranks.first and self.asked_to_stop()
        counts = [0] * self.ranks.size
        counts[self.ranks.rank] = self.memory.count

        votes = self.ranks.all_max([due, ending, stop, *counts])
        sync_counts(self.memory, votes[3:])
        if votes[2]:
            self.stop()

        self.agreed = (bool(votes[0]), bool(votes[1]))

    def end_epoch(self) -> None:
        """Let every shard go on after the last id that was given out."""
        align_ids(self.memory, self.ranks)
