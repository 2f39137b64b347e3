"""What a job has measured by some step: a line of `metrics.jsonl`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from renate.state.strict import need, number, shown, whole


@dataclass(frozen=True)
class ReportRow:
    """A line of `metrics.jsonl`.

    Attributes:
        metrics: By name, `epoch` and `step` among them; None where a value was no finite number.
        update: Within a stream: of which update.
        time: When it was measured, in seconds since the epoch.
    """

    metrics: Mapping[str, Any]
    update: str = ""
    time: float | None = None

    @property
    def epoch(self) -> int:
        """The epoch that was measured, counted from 1."""
        return whole(self.metrics["epoch"], "epoch")

    @property
    def step(self) -> int:
        """The steps of the optimizer so far."""
        return whole(self.metrics["step"], "step")

    @classmethod
    def from_json(cls, content: Any) -> "ReportRow":
        """From what `to_json` gave.

        Raises:
            ValueError: A key is missing, or its value is of another kind; in one line.
        """
        need(isinstance(content, dict), f"it is {shown(content)}, expected a mapping")
        metrics = {key: value for key, value in content.items() if key not in ("time", "update")}
        for key in ("epoch", "step"):
            need(key in metrics, f"it lacks the key '{key}'")
            whole(metrics[key], key)

        for key, value in metrics.items():
            fits = value is None or isinstance(value, str | int | float)
            need(fits, f"{key} is {shown(value)}, expected a number, a text or null")

        update = content.get("update", "")
        need(isinstance(update, str), f"update is {shown(update)}, expected a text")
        time = content.get("time")
        if time is not None:
            number(time, "time")

        return cls(metrics, update, time)

    def to_json(self) -> dict[str, Any]:
        """As `metrics.jsonl` holds it: of time and update, what there is."""
        found: dict[str, Any] = {}
        if self.time is not None:
            found["time"] = self.time
        if self.update:
            found["update"] = self.update

        return found | dict(self.metrics)
