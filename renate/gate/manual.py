"""Nobody but a person lets a version pass."""

from renate.gate.base import Comparison, Gate, Judgement
from renate.state.aliases.verdict import HOLD


class Manual(Gate):
    """Holds every candidate until `renate state promote`."""

    compares = False

    def judge(self, comparison: Comparison | None) -> Judgement:
        """Hold."""
        return Judgement(HOLD, ["gate=manual: renate state promote lets it pass"], {})
