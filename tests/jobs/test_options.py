"""Every option of every group runs one short update, through the launcher."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import renate
from tests.conftest import write_table
from tests.test_config import GROUPS, OPTIONS

ALONE = {"job", "backend", "data", "publish"}  # these have tests of their own
# So have these: of texts that are generated, of machines that have what they ask for, and what is for experiments
OWN_TESTS = {
    *(("problem", "next_token"), ("metrics", "next_token"), ("model", "causal_lm")),
    *(("trainer", "gpu"), ("trainer", "mps"), ("trainer", "ddp")),
    ("search_space", "none"),
}
BRIDGE = "config_file"  # an option of several groups, which tests/compat runs together
NUMBERS = ["data=files", "data.train=a.parquet", "data.target=x", "data.inputs=[y]"]
TEXTS = ["data=text", "data.train=texts.parquet", "data.text=text", "data.target=label"]
LABELS = ["data=files", "data.train=flags.parquet", "data.target=[a,b]"]
NEEDS = {
    ("loss", "mse"): NUMBERS,
    ("loss", "mae"): NUMBERS,
    ("loss", "huber"): NUMBERS,
    ("metrics", "regression"): NUMBERS,
    ("problem", "regression"): NUMBERS,
    ("gate", "error"): NUMBERS,
    ("loss", "binary_cross_entropy"): LABELS,
    ("loss", "binary_focal"): LABELS,
    ("metrics", "multi_label"): LABELS,
    ("problem", "multi_label"): LABELS,
    ("model", "torch_module"): [
        "model._target_=my_net.Net",
        "+model.num_classes=null",
        "+model.in_features=null",
    ],
    ("model", "tabular"): [
        *("data=files", "data.train=a.parquet", "data.target=label", "data.categories=embed"),
    ],
    ("model", "text_bag"): TEXTS,
    ("model", "text_transformer"): TEXTS,
    ("model", "multi_head"): ["scenario=class_incremental", "scenario.chunks=2"],
    ("model", "resnet18"): ["model.width=4"],
    **{
        ("model", f"resnet{depth}_{pixels}px"): ["model.layers=[1,1,1,1]"]
        for depth in (18, 34, 50)
        for pixels in (32, 224)
    },
    ("optimizer", "any"): ["optimizer._target_=torch.optim.RMSprop", "+optimizer.alpha=0.9"],
    ("loss", "any"): ["loss._target_=torch.nn.MultiMarginLoss"],
    ("lr_scheduler", "multistep"): ["lr_scheduler.milestones=[1]"],
    ("lr_scheduler", "any"): ["lr_scheduler._target_=torch.optim.lr_scheduler.ConstantLR"],
    ("memory", "infinite"): ["updater=joint"],
    ("memory", "gradient_diverse"): ["updater=gss"],
    ("memory", "none"): ["updater=fine_tuning"],
    ("tuner", "syne_tune/any"): [
        "tuner.proposer.scheduler=syne_tune.optimizer.baselines.RandomSearch"
    ],
    ("tuner", "grid"): ["optimizer.lr=0.1,0.05"],
    ("scenario", "data_incremental"): [
        *("scenario.domains=[a]", "data=files", "data.train=a.parquet", "data.target=label"),
    ],
    ("scenario", "time_incremental"): [
        *("data=files", "data.train=timed.parquet", "data.target=label", "data.time=day"),
    ],
    ("scenario", "hue_shift"): [
        *("data=files", "data.train=images.parquet", "data.target=label", "model.hidden_sizes=[4]"),
    ],
    ("transform", "none"): ["data=files", "data.train=a.parquet", "data.target=label"],
    ("transform", "cifar10"): ["data=files", "data.train=images.parquet", "data.target=label"],
}
# A search space that is called as an updater is of its settings
NEEDS |= {
    (group, option): [f"updater={option}"]
    for group, option in OPTIONS
    if group == "search_space" and ("updater", option) in OPTIONS
}
# What needs a package that isn't in `dev`
ELSEWHERE = {("logger", "mlflow"): "mlflow", ("logger", "wandb"): "wandb"}
TUNED = {
    "tuner": ["search_space=lr", "tuner.max_trials=2"],
    "search_space": ["tuner=random", "tuner.max_trials=2"],
}


def test_no_group_is_forgotten() -> None:
    assert {group for group, _ in OPTIONS} == set(GROUPS) > ALONE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "option"),
    [
        (group, option)
        for group, option in OPTIONS
        if group not in ALONE and option != BRIDGE and (group, option) not in OWN_TESTS
    ],
    ids=str,
)
def test_runs(group: str, option: str, workdir: Path) -> None:
    if package := ELSEWHERE.get((group, option)):
        pytest.importorskip(package)

    write_table(workdir / "a.parquet", seed=0, rows=200)
    write_flags(workdir / "flags.parquet")
    texts = {"text": [f"{'good' if n % 2 else 'bad'} day {n}" for n in range(200)]}
    pq.write_table(pa.table(texts | {"label": [n % 2 for n in range(200)]}), "texts.parquet")
    days = {"x": [n % 7 / 7 for n in range(200)], "day": [n // 10 for n in range(200)]}
    pq.write_table(pa.table(days | {"label": [n % 2 for n in range(200)]}), "timed.parquet")
    if option in ("cifar10", "hue_shift"):
        write_images(workdir / "images.parquet")
    (workdir / "my_net.py").write_text(
        "from torch import nn\n\nclass Net(nn.Sequential):\n    def __init__(self, in_features, "
        "num_classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(in_features, num_classes))\n"
    )
    quick = [f"{group}={option}", "trainer.max_epochs=1", "data.limit=100", "data.val_size=20"]
    result = renate.run([*quick, *TUNED.get(group, []), *NEEDS.get((group, option), [])])
    assert result.version == 1
    metric = {id(NUMBERS): "rmse", id(LABELS): "f1_micro"}.get(
        id(NEEDS.get((group, option))), "accuracy"
    )
    assert 0 <= result.metrics[f"test_{metric}"] <= 1.5
    assert renate.load_model(result.state_url, 1, trust=["my_net"]).version == 1


def write_flags(path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=200)
    table = {"x": numbers, "a": (numbers > 0).astype(int), "b": (numbers > 1).astype(int)}
    pq.write_table(pa.table(table), path)


def write_images(path: Path) -> None:
    import io

    from PIL import Image

    images = []
    for pixels in np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3), dtype=np.uint8):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        images.append({"bytes": stream.getvalue(), "path": None})
    pq.write_table(pa.table({"img": images, "label": [i % 3 for i in range(200)]}), path)
