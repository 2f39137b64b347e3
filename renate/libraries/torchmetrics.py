"""What is changed inside torchmetrics."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

TRANSFORMERS = "transformers"
MATPLOTLIB = "matplotlib"
PYPLOT = "matplotlib.pyplot"


def measure_alone(metric: Any) -> None:
    """Let a metric, and those inside it, never wait for other processes to measure as well.

    Of several processes only the first one measures; torchmetrics would gather from all of them.
    """
    from torchmetrics import Metric

    for part in metric.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = bool  # never


@contextmanager
def without_unused_imports() -> Iterator[None]:
    """Import the block's modules without `scipy.signal` and `transformers`, which take a second
    of CPU time each, and without `matplotlib`, which takes a quarter and 30 MB.

    Torchmetrics loads the first for nothing but to give it back a name that another package,
    SRMRpy, looks for, the second, where it is installed, for one metric of texts, and the third,
    where it is installed, to draw metrics: what they have comes when something is asked of them.
    """
    stand_ins: dict[str, ModuleType] = {}
    if importlib.util.find_spec("srmrpy") is None:
        signal = ModuleType("scipy.signal")
        signal.hamming = None  # type: ignore[attr-defined]
        stand_ins["scipy.signal"] = signal
    if importlib.util.find_spec(TRANSFORMERS) is not None:
        stand_ins[TRANSFORMERS] = _Transformers(TRANSFORMERS)
    if MATPLOTLIB not in sys.modules and importlib.util.find_spec(MATPLOTLIB) is not None:
        stand_ins |= _plotting()

    stand_ins = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(stand_ins)

    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _OnDemand(type):
    """Classes that hand on all that is asked of them to the class of their name in transformers."""

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._itself(), name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._itself()(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._itself())

    def _itself(cls) -> Any:
        return getattr(importlib.import_module(TRANSFORMERS), cls.__name__)


class _Transformers(ModuleType):
    """Stands in for transformers while torchmetrics takes names from it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who looks through all modules asks for these
            raise AttributeError(name)
        return _OnDemand(name, (), {})


def _plotting() -> dict[str, ModuleType]:
    """What stands in for matplotlib, by name: types, which torchmetrics only writes down, and
    pyplot.
    """
    modules: dict[str, ModuleType] = {"pyplot": _Pyplot(PYPLOT)}
    for name, kind in (("axes", "Axes"), ("colors", "Colormap")):
        modules[name] = ModuleType(f"{MATPLOTLIB}.{name}")
        setattr(modules[name], kind, object)

    root = ModuleType(MATPLOTLIB)
    vars(root).update(modules)

    return {MATPLOTLIB: root} | {f"{MATPLOTLIB}.{name}": module for name, module in modules.items()}


class _Pyplot(ModuleType):
    """Hands on all that is asked of it to matplotlib's pyplot."""

    Figure = object

    @property
    def style(self) -> SimpleNamespace:
        """What makes decorators of styles, while there is no matplotlib to ask for them."""
        return SimpleNamespace(context=_in_style)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(PYPLOT), name)


@contextmanager
def _in_style(style: Any) -> Iterator[None]:
    with importlib.import_module(PYPLOT).style.context(style):
        yield


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
