"""What a mistake is answered with: one line that leads on, the same beside a sweep as alone."""

import importlib.metadata
from pathlib import Path

import pytest

import renate as package
from renate.cli import main as entry
from renate.state.versions import State
from tests.command import workers_kept_warm

QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]
DOMAIN = "optimizer.lr=tag(log,interval(1e-4,0.5))"

# Arguments -> how the line begins, and what else it says.
MISTAKES = {
    ("optimizer.learning_rate=0.1",): (
        "optimizer.learning_rate=0.1: no such key, did you mean 'optimizer.lr'?",
        "+optimizer.learning_rate=0.1",
    ),
    ("tuner.max_trial=3",): (
        "tuner.max_trial=3: no such key, did you mean 'tuner.max_trials'?",
        "",
    ),
    ("modle=mlp",): ("modle=mlp: no such key, did you mean 'model'?", ""),
    ("model=mpl",): (
        "model=mpl: no such option, did you mean 'mlp'?",
        "config_file, continual_norm, mlp, mlp_batch_norm, ",
    ),
    ("lr=0.1",): ("lr=0.1: no such key, did you mean 'optimizer.lr'?", ""),
    ("epochs=3",): ("epochs=3: no such key, did you mean 'trainer.max_epochs'?", ""),
    ("updater.alpha=0.3", "updater=er"): (
        "updater.alpha=0.3: no such key; updater=der, updater=derpp, updater=fdr, ",
        "",
    ),
    ("data.target=y",): ("data.target=y: no such key; data=", "data=files"),
    ("optimizer.lr=log(1e-4,0.5)",): (
        "optimizer.lr=log(1e-4,0.5): a domain of that kind is ",
        f"'{DOMAIN}'",
    ),
    ("optimizer.lr=loguniform(1e-4, 0.5)",): (
        "optimizer.lr=loguniform(1e-4, 0.5): a domain",
        f"'{DOMAIN}'",
    ),
    ("optimizer.lr=uniform(0,1)",): (
        "optimizer.lr=uniform(0,1): a domain",
        "'optimizer.lr=interval(0,1)'",
    ),
    ("trainer.gradient_clip_val=choice(null,1.0)",): (
        "trainer.gradient_clip_val=choice(null,1.0): choice can't hold these (null, say): write ",
        "trainer.gradient_clip_val=null,1.0",
    ),
    ("optimizer.lr=intervall(0,1)",): (
        "optimizer.lr=intervall(0,1): no such domain as intervall(…), did you mean 'interval'?",
        "tag",
    ),
}
BESIDE = {
    "alone": [],
    "a grid": ["seed=0,1"],
    "a domain": ["data.batch_size=choice(16,32)"],
    "a tuner": [DOMAIN],
}


def main(arguments: list[str]) -> None:
    with workers_kept_warm():
        entry(arguments)


def line_of(*arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert isinstance(caught.value.code, str)
    assert "\n" not in caught.value.code
    return caught.value.code


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m[0])
def test_a_mistake_reads_the_same_beside_a_sweep(
    mistake: tuple[str, ...], beside: str, workdir: Path
) -> None:
    given = mistake[0].partition("=")[0]
    more = [o for o in BESIDE[beside] if o.partition("=")[0] != given]
    begins, holds = MISTAKES[mistake]
    said = line_of(*more, *mistake)
    assert said.startswith(f"renate: {begins}"), said
    assert holds in said


def test_version_is_renates(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"renate {importlib.metadata.version('renate-cl')}\n"


def test_hydras_own_habit_works(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-m", "seed=0,1", *QUICK])
    assert "seed=1" in capsys.readouterr().out


def test_a_key_of_another_option_names_the_experiment_that_set_it(workdir: Path) -> None:
    (workdir / "conf" / "experiment").mkdir(parents=True)
    (workdir / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults: [override /job: stream, override /scenario: class_incremental]\n"
        "scenario: {shuffle: true}\n"
    )
    said = line_of("experiment=mine", "scenario=rotation")
    assert said.startswith(
        "renate: scenario.shuffle=true: no such key (chunks, degrees, max_degrees, full"
    )
    assert said.endswith(
        "; conf/experiment/mine.yaml sets it for scenario=class_incremental, and scenario=rotation "
        "was chosen"
    )


@pytest.mark.slow
def test_streams_of_a_grid_have_states_of_their_own(workdir: Path) -> None:
    asked = ["job=stream", "scenario=iid", "scenario.chunks=2", "objective.metric=null", *QUICK]
    said = line_of(*asked, "seed=0,1", "state.url=./s")
    assert said.endswith("leave state.url out, or give 'state.url=./s-${seed}'")
    assert not (workdir / "s").exists()
    main([*asked, "seed=0,1", "state.url=./s-${seed}"])
    assert [State(f"./s-{seed}").versions() for seed in (0, 1)] == [[1, 2], [1, 2]]


def test_what_is_published_already_says_so_with_the_rest(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*QUICK, "state.url=./s", "state.first=true"])
    first = capsys.readouterr().out
    main([*QUICK, "state.url=./s"])
    again = capsys.readouterr().out
    assert again.startswith(
        "already published as version 1 of ./s, from this config and data; resume=false trains"
    )
    job = next(line for line in first.splitlines() if line.startswith("job "))
    assert job in again.splitlines(), "the job that exists"
    assert (workdir / job.split()[1] / "result.json").is_file()


def test_one_of_several_jobs_becomes_the_first_version_of_a_state(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*QUICK, "seed=0,1"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "--url URL" in line]
    jobs = [line.partition("state publish ")[2].split()[0] for line in lines]
    assert len(jobs) == 2
    for _ in range(2):  # the same again is the same
        main(["state", "publish", jobs[0], "--url", "./prod"])
        assert capsys.readouterr().out == "version 1 of ./prod\n"
    said = line_of("state", "publish", jobs[1], "--url", "./prod")
    assert "holds version 1" in said
    assert "started from nothing: run it again with state.url=" in said
    State("./prod").verify()


def test_the_load_line_works_for_own_models(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "my_net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, in_features, num_classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(in_features, num_classes))\n"
    )
    model = [
        "model=torch_module",
        "model._target_=my_net.Net",
        "+model.in_features=null",
        "+model.num_classes=null",
    ]
    main([*QUICK[:1], *QUICK[2:], *model])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("load "))
    found: dict[str, object] = {}
    exec(line.split('"')[1], found)
    assert isinstance(found["model"], package.jobs.saved.deploy.Predictor)


@pytest.mark.slow
def test_a_resumed_sweep_says_so(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*QUICK, "optimizer.lr=0.1,0.2", "tuner=grid"]
    main(asked)
    assert "goes on with" not in capsys.readouterr().err
    (folder,) = workdir.glob("runs/sweep-*")
    log = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(log[:-1]))
    main(asked)
    said = capsys.readouterr().err
    assert (
        f"goes on with ./runs/{folder.name}: 2 trials asked for, 1 of them ended (resume=false "
        "begins anew)" in said
    )


def test_sagemaker_without_a_role_says_which_key(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sagemaker.core")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(workdir))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    asked = [
        "backend=sagemaker",
        "backend.instance_type=ml.m5.xlarge",
        "state.url=s3://b/s",
        "state.first=true",
    ]
    assert line_of(*asked).startswith(
        "renate: backend.role=null: no role that a job could run as: give backend.role="
    )


@pytest.mark.slow
def test_an_evaluation_says_which_version_it_measured(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*QUICK, "state.url=./s", "state.first=true"])
    capsys.readouterr()
    main(["job=evaluate", "state.url=./s"])
    assert "measured    version 1 of ./s\n" in capsys.readouterr().out
    said = line_of("job=evaluate", "state.url=./s", "model.hidden_sizes=[9]")
    assert (
        "model.hidden_sizes=[9]: the version has [8]: an evaluation measures version 1 of " in said
    )


@pytest.mark.parametrize("verb", ["ls", "verify"])
def test_looking_after_a_url_without_a_state_fails(verb: str, workdir: Path) -> None:
    assert "holds no version yet" in line_of("state", verb, "./nothing")
