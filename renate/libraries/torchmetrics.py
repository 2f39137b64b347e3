"""What is changed inside torchmetrics."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def measure_alone(metric: Any) -> None:
    """Let a metric, and those inside it, never wait for other processes to measure as well.

    Of several processes only the first one measures; torchmetrics would gather from all of them.
    """
    from torchmetrics import Metric

    for part in metric.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = bool  # never


@contextmanager
def without_scipy_signal() -> Iterator[None]:
    """Import the block's modules without `scipy.signal`, which takes a second of CPU time.

    Torchmetrics loads it for nothing but to give it back a name that another package, SRMRpy,
    looks for.
    """
    name = "scipy.signal"
    if name in sys.modules or importlib.util.find_spec("srmrpy") is not None:
        yield
        return

    stand_in = ModuleType(name)
    stand_in.hamming = None  # type: ignore[attr-defined]
    sys.modules[name] = stand_in

    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def is_of_curves(metric: Any) -> bool:
    """Whether a metric compares the examples of a label with all others, as AUROC does.

    Where there are none of one kind, torchmetrics takes 0 for what isn't defined.
    """
    from torchmetrics import classification

    curves = (
        classification.MulticlassPrecisionRecallCurve,
        classification.MulticlassROC,
        classification.MultilabelPrecisionRecallCurve,
        classification.MultilabelROC,
    )
    return isinstance(metric, curves)
