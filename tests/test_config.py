"""Every YAML of every group composes, passes its own schema, and makes its object."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from renate.api import as_list
from renate.build import locate, targets
from renate.errors import ConfigError, NoVersionError
from renate.launchers.composing.conf import CONF
from renate.launchers.sweeps.from_python import composed
from renate.launchers.sweeps.tuned_update import Tuning

GROUPS = sorted(
    p.name
    for p in CONF.iterdir()
    if p.is_dir() and p.name not in ("hydra", "experiment", "compat", "__pycache__")
)
FILES = [
    (g, str(p.relative_to(CONF / g).with_suffix("")))
    for g in GROUPS
    for p in sorted((CONF / g).rglob("*.yaml"))
]
SHARED = ("tuner", "default")  # no option, but what the options of a group have in common
OPTIONS = [pair for pair in FILES if pair != SHARED]
EXPERIMENTS = sorted(
    str(p.relative_to(CONF / "experiment").with_suffix(""))
    for p in CONF.glob("experiment/**/*.yaml")
)
# What an option can't do without.
NEEDS = {
    ("job", "evaluate"): ["state.url=./state"],
    ("job", "detect"): ["state.url=s"],
    ("job", "predict"): [
        "state.url=./state",
        "data=files",
        "data.train=new.parquet",
        "data.target=label",
        "output=predicted.parquet",
    ],
    ("memory", "gradient_diverse"): ["updater=gss"],
    ("data", "text"): ["data.train=new.parquet", "data.text=text", "data.target=label"],
    ("data", "hf"): ["data.name=./somewhere"],
    ("data", "image_folder"): ["data.train=photos"],
    ("data", "image_table"): ["data.train=new.parquet", "data.image=img", "data.target=label"],
    ("data", "files"): ["data.train=new.parquet", "data.target=label"],
    ("data", "torch_dataset"): ["data.train={_target_:torch.utils.data.TensorDataset}"],
    ("model", "torch_module"): ["model._target_=torch.nn.Identity"],
    ("publish", "mlflow"): ["publish.name=digits"],
    ("publish", "huggingface"): ["publish.repo=me/digits"],
    ("publish", "sagemaker_registry"): [
        "publish.group=digits",
        "publish.archives=s3://bucket/models",
        "publish.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/serving:1",
    ],
    ("optimizer", "any"): ["optimizer._target_=torch.optim.RMSprop"],
    ("loss", "any"): ["loss._target_=torch.nn.MultiMarginLoss"],
    ("lr_scheduler", "multistep"): ["lr_scheduler.milestones=[1]"],
    ("lr_scheduler", "any"): ["lr_scheduler._target_=torch.optim.lr_scheduler.ConstantLR"],
    ("tuner", "syne_tune/any"): [
        "search_space=lr",
        "tuner.proposer.scheduler=syne_tune.optimizer.baselines.RandomSearch",
    ],
    ("backend", "sagemaker"): [
        "backend.instance_type=ml.m5.xlarge",
        "backend.role=arn:aws:iam::1:role/r",
    ],
}
# A search space that is called as an updater is of its settings
NEEDS |= {
    (group, option): [f"updater={option}"]
    for group, option in OPTIONS
    if group == "search_space" and ("updater", option) in OPTIONS
}
NEEDS |= {pair: ["search_space=lr"] for pair in OPTIONS if pair[0] == "tuner" and pair not in NEEDS}


@pytest.fixture(autouse=True)
def _files(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "new.parquet").write_bytes(b"")
    (workdir / "photos" / "cat").mkdir(parents=True)
    (workdir / "photos" / "cat" / "1.png").write_bytes(b"")
    for name in ("mnist", "cifar10", "fashion_mnist", "cifar100", "tiny_imagenet"):
        (workdir / "data" / name).mkdir(parents=True)
        for part in ("train", "test", "valid"):
            (workdir / "data" / name / f"{part}.parquet").write_bytes(b"")
    monkeypatch.delenv("RENATE_DATA", raising=False)


def compose(*overrides: str) -> Any:
    launcher, job = composed(list(overrides))
    launcher.close()
    return job.base if isinstance(job, Tuning) else job


# Search spaces are composed where they are run, among the slow tests
COMPOSED = [(group, option) for group, option in OPTIONS if group != "search_space"]


@pytest.mark.parametrize(("group", "option"), COMPOSED, ids=lambda v: str(v))
def test_option(group: str, option: str) -> None:
    job = compose(f"{group}={option}", *NEEDS.get((group, option), []))
    # An option of `debug` changes other groups
    chosen = OmegaConf.select(job.config, group) or {}
    node: Any = OmegaConf.to_container(OmegaConf.create(chosen), resolve=True)
    for key, target in targets(node, group):
        assert callable(locate(target, key))


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("cpu", {"accelerator": "cpu"}),
        ("gpu", {"accelerator": "gpu"}),
        ("mps", {"accelerator": "mps"}),
        ("ddp", {"accelerator": "gpu", "devices": -1}),
    ],
)
def test_trainers_differ_from_the_default_by_where_they_run(
    option: str, changed: dict[str, Any]
) -> None:
    config = compose(f"trainer={option}", "trainer.max_epochs=3").config.trainer
    usual = compose("trainer.max_epochs=3").config.trainer
    assert dict(config) == dict(usual) | changed


@pytest.mark.parametrize("updater", [option for group, option in OPTIONS if group == "updater"])
def test_every_updater_has_a_search_space(updater: str) -> None:
    assert ("search_space", updater) in OPTIONS


def test_the_space_of_an_updater_is_found_by_its_name() -> None:
    job = compose("updater=cls_er", "search_space=auto", "tuner=asha")
    assert job.config.updater._target_.endswith("CLSER")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment(name: str) -> None:
    job = compose(f"experiment={name}")
    assert job.config.job.name in ("update", "stream", "evaluate")


@pytest.mark.parametrize(
    "path", sorted(CONF.rglob("*.yaml")), ids=lambda p: str(p.relative_to(CONF))
)
def test_yaml_is_plain(path: Path) -> None:
    assert yaml.safe_load(path.read_text()) is not None


def test_a_mistyped_url_is_refused(workdir: Path) -> None:
    with pytest.raises(
        NoVersionError, match=r"state.url=./stat holds no version yet: .* state.first=true"
    ):
        compose("state.url=./stat")
    assert not (workdir / "stat").exists()


def test_a_typo_in_a_yaml_file_is_found(workdir: Path) -> None:
    folder = workdir / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "typo.yaml").write_text("# @package _global_\nupdater: {replay_batch_sise: 3}\n")
    with pytest.raises(
        ConfigError,
        match=r"updater.replay_batch_sise=3: no such key, did you mean 'replay_batch_size'",
    ):
        compose("experiment=typo")


def test_an_unknown_root_key_in_a_yaml_file_is_found(workdir: Path) -> None:
    folder = workdir / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "typo.yaml").write_text("# @package _global_\nsede: 3\n")
    with pytest.raises(ConfigError, match=r"sede: no such key, did you mean 'seed'"):
        compose("experiment=typo")


def test_a_file_of_ours_cannot_be_replaced_in_silence(workdir: Path) -> None:
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "er.yaml").write_text("replay_batch_size: 3\n")
    with pytest.raises(
        ConfigError, match=r"conf/updater/er.yaml: renate has a config of that name already"
    ):
        compose()


def test_an_unrelated_conf_folder_is_left_alone(workdir: Path) -> None:
    (workdir / "conf").mkdir()
    (workdir / "conf" / "nginx.conf").write_text("")
    assert compose().config.seed == 0


def test_an_option_of_ones_own_builds_on_ours(workdir: Path) -> None:
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "mine.yaml").write_text(
        "defaults: [er]\nreplay_batch_size: 3\n"
    )
    job = compose("updater=mine")
    assert job.config.updater.replay_batch_size == 3
    assert job.config.updater._target_.endswith("ER")


def test_a_mapping_within_an_option_of_ones_own_builds_on_ours_too(workdir: Path) -> None:
    (workdir / "conf" / "data").mkdir(parents=True)
    mine = "defaults: [files]\ntrain: a.csv\ntarget: y\ncsv: {separator: tab}\n"
    (workdir / "conf" / "data" / "mine.yaml").write_text(mine)
    (workdir / "a.csv").write_text("x\ty\n1\t0\n")
    csv = compose("data=mine", "data.csv.decimal=comma").config.data.csv
    assert (csv.separator, csv.decimal, csv.encoding) == ("tab", "comma", None)


def test_added_keys_are_allowed() -> None:
    assert compose("+optimizer.dampening=0.1").config.optimizer.dampening == 0.1


def test_an_updater_brings_its_memory() -> None:
    assert compose("updater=joint").config.memory._target_.endswith("Infinite")
    assert compose("updater=joint", "memory=reservoir").config.memory._target_.endswith("Reservoir")


def test_secrets_stay_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_URL", "s3cr3t")
    job = compose(
        "logger=csv", "logger.name=${oc.env:SECRET_URL}", "+logger.version=${logger.name}"
    )
    text = OmegaConf.to_yaml(job.config)
    assert "s3cr3t" not in text
    assert "${oc.env:SECRET_URL}" in text
    assert "${logger.name}" in text
    monkeypatch.delenv("SECRET_URL")
    with pytest.raises(ConfigError, match="SECRET_URL"):
        compose("logger=csv", "logger.name=${oc.env:SECRET_URL}")


def test_identity() -> None:
    base = compose("seed=1").id
    assert compose("seed=1").id == base
    assert compose("seed=1", "backend.workers=2", "logger=csv", "run_dir=./elsewhere").id == base
    assert compose("seed=2").id != base
    assert compose("seed=1", "optimizer.lr=0.3").id != base


def test_identity_follows_the_data_and_the_code(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["data=files", "data.train=new.parquet", "data.target=label"]
    before = compose(*overrides).id
    (workdir / "new.parquet").write_bytes(b"other")
    after = compose(*overrides).id
    assert before != after
    (workdir / "my_nets.py").write_text("from torch import nn\n\nclass Net(nn.Linear):\n    pass\n")
    named = ["model=torch_module", "model._target_=my_nets.Net"]
    first = compose(*named).id
    (workdir / "my_nets.py").write_text(
        "from torch import nn\n\nclass Net(nn.Bilinear):\n    pass\n"
    )
    assert compose(*named).id != first


def test_overrides_from_a_mapping_are_quoted() -> None:
    given = {
        "data.train": "s3://b/dt=2026-11-23/[ab]*.parquet",
        "model.hidden_sizes": [3, 4],
        "seed": None,
        "a": "it's",
    }
    assert as_list(given) == [
        "data.train='s3://b/dt=2026-11-23/[ab]*.parquet'",
        "model.hidden_sizes=[3,4]",
        "seed=null",
        r"a='it\'s'",
    ]
    with pytest.raises(ConfigError, match="expected a list or a mapping"):
        as_list("seed=1")  # type: ignore[arg-type]
