"""Whose event comes next where events are taken in a logical order (`tuner.order=fixed`)."""

from collections.abc import Mapping
from heapq import heappop, heappush

from renate.tuning.trial import Trial


class Turns:
    """The running trials by when their next event is due, then by number: O(log n) an event.

    Args:
        running: Number -> trial that hasn't ended, as it is at any time.
    """

    def __init__(self, running: Mapping[int, Trial]) -> None:
        self.running = running
        self.due: list[tuple[int, int]] = []

    def note(self, trial: Trial) -> None:
        """Know when a trial is due; called when it begins, and after each event that was taken."""
        heappush(self.due, (turn_of(trial), trial.id))

    def first(self) -> Trial:
        """The trial that is due first."""
        while True:
            turn, number = self.due[0]
            trial = self.running.get(number)
            if trial is not None and turn_of(trial) == turn:
                return trial
            heappop(self.due)  # it has ended, or has a later turn by now


def turn_of(trial: Trial) -> int:
    """When a trial's next event is due."""
    return trial.start + trial.taken + 1
