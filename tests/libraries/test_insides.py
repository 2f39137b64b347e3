"""What this package changes inside other libraries is there; a failing test names what is gone."""

import importlib
import inspect
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.loops import training_epoch_loop

from renate.fitting.epoch_loop import EpochLoop
from renate.libraries import hydra, lightning, numpy, omegaconf, torchmetrics
from renate.libraries.torch import forget_default_device
from tests.command import renate

LOOP = "pytorch_lightning.loops.training_epoch_loop:_TrainingEpochLoop"
NODE = "omegaconf.base:Node"

# Names that nobody outside of their library is promised: module, and the way from there.
NAMES = (
    "lightning_fabric.utilities.registry:entry_points",
    "lightning_fabric.utilities.registry:_load_external_callbacks",
    "pytorch_lightning.trainer.connectors.signal_connector:_SignalConnector._sigterm_notifier_fn",
    "pytorch_lightning.plugins.precision:Precision.convert_input",
    f"{LOOP}.run",
    f"{LOOP}.reset",
    f"{LOOP}.on_run_start",
    f"{LOOP}.on_iteration_done",
    f"{LOOP}.update_lr_schedulers",
    f"{LOOP}.done",
    f"{LOOP}._is_training_done",
    "torch:_GLOBAL_DEVICE_CONTEXT",
    "hydra.core.plugins:Plugins.is_in_toplevel_plugins_module",
    "omegaconf.resolvers:oc.env",
    "omegaconf:DictConfig._get_node",
    "omegaconf:ListConfig._get_node",
    f"{NODE}._value",
    f"{NODE}._get_full_key",
    f"{NODE}._dereference_node",
    f"{NODE}._is_none",
    f"{NODE}._is_missing",
    f"{NODE}._is_interpolation",
    f"{NODE}._set_parent",
    "numpy:random.get_state",
    "numpy:random.set_state",
    "torch._dynamo:OptimizedModule",
    "torch._dynamo:disable",
    "torch._dynamo:graph_break",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_library_has(name: str) -> None:
    module, _, way = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in way.split("."):
        assert hasattr(found, part), f"{name}: gone; see renate/libraries"
        found = getattr(found, part)


def trainer() -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_lightning_writes_the_name_of_the_hook_into_the_module() -> None:
    written: list[str] = []

    class Module(lightning.QuickHookName, pl.LightningModule):
        def __setattr__(self, name: str, value: Any) -> None:
            written.append(name)
            super().__setattr__(name, value)

    module = Module()
    assert lightning.HOOK_NAME in written
    module._current_fx_name = "a hook"
    assert vars(module)[lightning.HOOK_NAME] == "a hook"
    module.part = torch.nn.Linear(1, 1)
    assert "part" in dict(module.named_children()), "all else is set as ever"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_looks_for_factories_once_in_a_process() -> None:
    from lightning_fabric.utilities import registry

    lightning.look_for_factories_once()
    trainer()
    before = registry.entry_points.cache_info()  # type: ignore[attr-defined]
    trainer()
    after = registry.entry_points.cache_info()  # type: ignore[attr-defined]
    assert after.misses == before.misses
    assert after.hits > before.hits


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_leaves_sigterm_to_us() -> None:
    made = trainer()
    told: list[int] = []
    lightning.on_sigterm(made, lambda number, frame: told.append(number))
    # Lightning calls the handler that it finds as well
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        made._signal_connector.register_signal_handlers()
        signal.raise_signal(signal.SIGTERM)
    finally:
        made._signal_connector.teardown()
        signal.signal(signal.SIGTERM, before)
    assert told == [signal.SIGTERM]
    assert not made.received_sigterm


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_votes_on_sigterm_in_the_loop_or_not_at_all() -> None:
    made = trainer()
    EpochLoop.replace(made)
    lightning.without_vote_on_sigterm(made)
    loop: Any = made.fit_loop.epoch_loop
    assert loop._broadcast_sigterm_tensor() is None
    votes = "broadcast" in inspect.getsource(training_epoch_loop)  # older ones don't
    assert hasattr(type(loop), "_broadcast_sigterm_tensor") == votes, "the vote has another name"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lightning_leaves_batches_as_they_are() -> None:
    made = trainer()
    lightning.without_conversion(made)
    batch = object()
    assert made.precision_plugin.convert_input(batch) is batch


def test_torchmetrics_measures_alone() -> None:
    from torchmetrics import MeanMetric, MetricCollection, MinMaxMetric

    metrics = MetricCollection({"a": MeanMetric(), "b": MinMaxMetric(MeanMetric())})
    torchmetrics.measure_alone(metrics)
    parts = [part for part in metrics.modules() if hasattr(part, "distributed_available_fn")]
    assert len(parts) >= 3
    assert not any(part.distributed_available_fn() for part in parts)


def test_torchmetrics_asks_by_that_name_whether_to_wait() -> None:
    from torchmetrics import MeanMetric

    asked: list[bool] = []
    metric = MeanMetric()
    metric.distributed_available_fn = lambda: bool(asked.append(True))
    metric.update(1.0)
    metric.compute()
    assert asked


SCIPY = """
import sys
from renate.libraries.torchmetrics import without_unused_imports
with without_unused_imports():
    import renate.jobs.running.execute, torchmetrics
assert "scipy.signal" not in sys.modules, "torchmetrics loads it unasked"
import scipy, scipy.signal
from scipy import signal
assert scipy.signal.lfilter is signal.lfilter
assert len(scipy.signal.windows.hann(8)) == 8
print("the real one")
"""


@pytest.mark.slow
def test_scipy_signal_stays_out_until_it_is_wanted() -> None:
    pytest.importorskip("scipy")
    done = subprocess.run([sys.executable, "-c", SCIPY], capture_output=True, text=True)
    assert done.stdout == "the real one\n", done.stderr


TRANSFORMERS = """
import sys
from renate.libraries.torchmetrics import without_unused_imports
with without_unused_imports():
    import renate.jobs.running.execute, torchmetrics
assert "transformers" not in sys.modules, "torchmetrics loads it unasked"
from torchmetrics.functional.text import bert
assert not isinstance(3, bert.AutoTokenizer)
import transformers
assert bert.AutoModel.from_pretrained == transformers.AutoModel.from_pretrained
print("the real one")
"""


@pytest.mark.slow
def test_transformers_stays_out_until_it_is_wanted() -> None:
    pytest.importorskip("transformers")
    done = subprocess.run([sys.executable, "-c", TRANSFORMERS], capture_output=True, text=True)
    assert done.stdout == "the real one\n", done.stderr


MATPLOTLIB = """
import sys
from renate.libraries.torchmetrics import without_unused_imports
with without_unused_imports():
    import renate.jobs.running.execute, torchmetrics
assert "matplotlib" not in sys.modules, "torchmetrics loads it unasked"
import torch
from torchmetrics.classification import BinaryAccuracy
metric = BinaryAccuracy()
metric.update(torch.tensor([0.9, 0.2]), torch.tensor([1, 0]))
figure, axes = metric.plot()
from matplotlib.figure import Figure
assert isinstance(figure, Figure) and axes.get_ylabel() == "BinaryAccuracy"
print("the real one")
"""


@pytest.mark.slow
def test_matplotlib_stays_out_until_it_is_wanted() -> None:
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, "-c", MATPLOTLIB], capture_output=True, text=True)
    assert done.stdout == "the real one\n", done.stderr


UNUSED = {
    "matplotlib",
    "pandas",
    "scipy.stats",
    "scipy.signal",
    "sklearn",
    "sympy",
    "torch._inductor",
    "transformers",
    "peft",
}
OWN = """
import sys
from pathlib import Path
from pytorch_lightning import Callback

class Imported(Callback):
    def on_fit_end(self, trainer, pl_module):
        Path("imported.txt").write_text("\\n".join(sys.modules))
"""


@pytest.mark.slow
def test_an_update_imports_nothing_heavy_that_it_has_no_use_for(tmp_path: Path) -> None:
    """Each of them takes between a third of a second and a second and a half of every start."""
    (tmp_path / "own.py").write_text(OWN)
    small = ["data=digits", "data.limit=64", "trainer.max_steps=1"]
    renate("+callbacks.own._target_=own.Imported", *small, cwd=tmp_path, own_process=True)

    imported = set((tmp_path / "imported.txt").read_text().splitlines())
    assert {"torch", "renate.jobs.update"} <= imported
    assert not UNUSED & imported


def test_hydra_takes_what_was_registered() -> None:
    from hydra.core.plugins import Plugins

    plugins = Plugins.instance()
    before = vars(Plugins)["is_in_toplevel_plugins_module"]
    try:
        assert not Plugins.is_in_toplevel_plugins_module("nobody.s.Launcher")
        hydra.accept_registered(plugins)
        assert not Plugins.is_in_toplevel_plugins_module("nobody.s.Launcher")
        plugins.class_name_to_class["nobody.s.Launcher"] = object  # type: ignore[assignment]
        assert Plugins.is_in_toplevel_plugins_module("nobody.s.Launcher")
    finally:
        plugins.class_name_to_class.pop("nobody.s.Launcher", None)
        Plugins.is_in_toplevel_plugins_module = before  # type: ignore[method-assign]


def test_numpys_generator_is_lent_and_given_back() -> None:
    import numpy as np

    kept = numpy.generator_state()
    own = numpy.OwnState(7)
    with own.lent():
        first = np.random.random(2).tolist()  # noqa: NPY002
    outside = np.random.random(2).tolist()  # noqa: NPY002
    with own.lent():
        second = np.random.random(2).tolist()  # noqa: NPY002

    numpy.seed_generator(7)
    assert first + second == np.random.random(4).tolist()  # noqa: NPY002
    numpy.set_generator_state(kept)
    assert outside == np.random.random(2).tolist()  # noqa: NPY002


def test_omegaconfs_nodes() -> None:
    config = OmegaConf.create({"a": "${b}", "b": 3, "c": "???", "d": None, "e": {"f": [1]}})
    node: Callable[[str], Any] = lambda key: omegaconf.node_of(config, key)  # noqa: E731
    assert omegaconf.is_interpolation(node("a"))
    assert omegaconf.written(node("a")) == "${b}"
    assert omegaconf.written(omegaconf.followed(node("a"))) == 3
    assert omegaconf.is_missing(node("c"))
    assert omegaconf.is_none(node("d"))
    assert omegaconf.name_of(omegaconf.node_of(node("e"), "f")) == "e.f"
    assert node("nothing") is None


def test_omegaconfs_nodes_can_be_moved() -> None:
    source = OmegaConf.create({"group": {"key": "${value}"}, "value": 3})
    target = OmegaConf.create()
    omegaconf.move("group", source, target)
    omegaconf.look_up_in(target, source)
    assert target.group is source.group
    assert target.group.key == 3


def test_what_omegaconf_reads_of_the_environment_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "here")
    lines = {"a": "${oc.env:GIVEN}", "b": "${oc.env:NOT_GIVEN,there}", "c": "${a}"}
    config = OmegaConf.create(lines)
    with omegaconf.noting_environment() as reads:
        assert (config.a, config.b, config.c) == ("here", "there", "here")
    assert reads == ["GIVEN", "NOT_GIVEN", "GIVEN"]
    assert config.a == "here"
    assert len(reads) == 3


def test_these_files_import_no_library() -> None:
    code = (
        "import sys\n"
        "from renate.libraries import hydra, lightning, numpy, omegaconf, torch, torchmetrics\n"
        "heavy = ('hydra', 'lightning_fabric', 'numpy', 'omegaconf', 'pytorch_lightning', "
        "'torch')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torch_forgets_a_default_device() -> None:
    torch.set_default_device("meta")
    forget_default_device()
    assert torch.get_default_device().type == "cpu"
    assert torch.empty(0).device.type == "cpu"
    forget_default_device()  # nothing was chosen
