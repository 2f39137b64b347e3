"""`job=predict`: what a version answers for the rows of files, written whole or not at all."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import renate
from renate.errors import ConfigError, JobError
from renate.fitting.measure import Measure
from renate.jobs.config_yaml import dump
from renate.jobs.predicting.output import check_output
from renate.jobs.running.execute import execute
from renate.launchers.sweeps.from_python import composed
from tests.command import renate as command

TRAIN = ["data=files", "data.target=label", "trainer.max_epochs=1", "model.hidden_sizes=[4]"]
ASK = ["job=predict", "state.url=s", "data=files"]


def rows(count: int, first: int = 0, labels: tuple[str, str] = ("no", "yes")) -> pa.Table:
    rng = np.random.default_rng(first)
    a = rng.normal(size=count)
    b = rng.normal(size=count)
    return pa.table(
        {
            "id": pa.array(range(first, first + count)),
            "a": a,
            "b": b,
            "flag": a > b,
            "label": [labels[int(value > 0)] for value in a + b],
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that is trained once for all tests."""
    folder = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(folder)
    try:
        pq.write_table(rows(150).drop_columns("id"), "train.parquet")
        renate.run([*TRAIN, "data.train=train.parquet", "state.url=s", "state.first=true"])
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def state(trained: Path, workdir: Path) -> Path:
    shutil.copytree(trained / "s", "s")
    shutil.copy(trained / "train.parquet", "train.parquet")
    Path("in").mkdir()
    return workdir


def run_here(*overrides: str) -> Any:
    """Run a job in this process."""
    with_launcher, job = composed(list(overrides))
    assert with_launcher is not None
    job.directory.prepare(dump(job.config), job.record)
    result = execute(job.directory.path)
    if result.failed:
        raise JobError(result.reason)
    return result


def predict(*more: str) -> Any:
    return run_here(*ASK, *more)


def test_predict_answers_what_evaluate_counted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit the same logits, in the same batches, whatever the files are."""
    test = rows(70, 1000)
    pq.write_table(test.drop_columns("id"), "test.parquet")
    for part in range(3):
        # The columns in another order, and the target's not there
        table = test.slice(part * 25, 25).select(["flag", "b", "id", "a"])
        pq.write_table(table, f"in/{part}.parquet", row_group_size=7)

    counted: list[torch.Tensor] = []
    before = Measure._predictions

    def noted(self: Measure, *given: Any) -> Any:
        for logits, targets in before(self, *given):
            counted.append(logits)
            yield logits, targets

    monkeypatch.setattr(Measure, "_predictions", noted)
    small = "trainer.eval_batch_size=16"
    evaluated = run_here(
        *TRAIN,
        "job=evaluate",
        "state.url=s",
        "data.train=train.parquet",
        "data.test=test.parquet",
        small,
    )

    seen: list[torch.Tensor] = []
    decode = type(renate.load_model("s").problem).decode

    def decoded(self: Any, outputs: torch.Tensor) -> Any:
        seen.append(outputs)
        return decode(self, outputs)

    monkeypatch.setattr(type(renate.load_model("s").problem), "decode", decoded)
    predict("data.train='in/*.parquet'", "output=out.parquet", small, "job.keep=[id]")
    logits = torch.cat(seen[1:])  # the first is what the columns are named by
    assert torch.equal(torch.cat(counted), logits)

    found = pq.read_table("out.parquet")
    assert found.column("id").to_pylist() == test.column("id").to_pylist()
    right = np.array(found.column("prediction")) == np.array(test.column("label"))
    assert right.mean() == pytest.approx(evaluated.metrics["test_accuracy"])

    alone = renate.load_model("s").outputs(test.to_pandas(), batch_size=16)
    assert torch.equal(alone, logits)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_each_kind_of_file(state: Path, suffix: str) -> None:
    pq.write_table(rows(20, 5).drop_columns("label"), "in/1.parquet")
    predict(
        "data.train=in/1.parquet",
        f"output=out.{suffix}",
        "job.keep=[id]",
        "job.probabilities=all",
    )
    if suffix == "parquet":
        found = pq.read_table("out.parquet").to_pylist()
    elif suffix == "csv":
        found = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    else:
        found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]

    assert list(found[0]) == [
        "id",
        "prediction",
        "probability",
        "probability_no",
        "probability_yes",
    ]
    assert [int(row["id"]) for row in found] == list(range(5, 25))
    answers = renate.load_model("s").predict(rows(20, 5), probabilities=True)
    for row, answer in zip(found, answers, strict=True):
        assert row["prediction"] == answer["prediction"]
        assert float(row["probability"]) == pytest.approx(answer["probability"])
        assert float(row["probability_yes"]) == pytest.approx(answer["probabilities"]["yes"])
        assert answer["probability"] == max(answer["probabilities"].values())


@pytest.mark.slow
def test_the_command_says_where_it_went_and_prints(state: Path) -> None:
    pq.write_table(rows(3), "in/1.parquet")
    asked = [*ASK, "data.train='in/*.parquet'", "job.keep=[id]"]
    said = command(*asked, "output=out.csv", cwd=state).stdout
    assert "predicted   by version 1 of s" in said
    assert "out.csv" in said
    Path("out.csv").unlink()
    command(*asked, "output=out.csv", cwd=state)
    assert Path("out.csv").exists(), "an earlier answer doesn't count: its file is gone"
    printed = command(*asked, "output=-", cwd=state).stdout.splitlines()
    assert [json.loads(line)["id"] for line in printed] == [0, 1, 2]


MISTAKES = [
    (["output=o.csv", "job.surplus=ignor"], "expected error or ignore, did you mean 'ignore'"),
    (["output=out.txt"], "expected .parquet, .csv, .jsonl"),
    (["output=no/out.csv"], "there is no folder no"),
    (["output=in/1.parquet"], "is one of the files that are read"),
    (["output=train.parquet"], "holds something else than predictions"),
    (["output=s3://b/out.csv"], "expected a path of this machine"),
    (
        ["output=o.csv", "job.keep=[idd]"],
        "no column 'idd', which job.keep names, did you mean 'id'",
    ),
    (["output=o.csv"], r"column 'id' is none of the state's inputs: job.keep=\['id'\] copies it"),
    (["output=o.csv", "job.probabilities=al"], "expected best or all, did you mean 'all'"),
    (["output=o.csv", "job.batch_size=0"], "job.batch_size=0: expected 1 or more"),
    ([], "job=predict needs output="),
]


@pytest.mark.parametrize(("more", "message"), MISTAKES)
def test_mistakes_are_told_in_one_line_and_leave_no_file(
    state: Path, more: list[str], message: str
) -> None:
    pq.write_table(rows(3), "in/1.parquet")
    with pytest.raises(JobError, match=message) as raised:
        predict("data.train='in/*.parquet'", *more)
    assert "\n" not in str(raised.value)
    assert not list(Path().glob("*o.csv*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("a"), "no column 'a', which the state has"),
        (lambda table: table.rename_columns(["aa", "b", "flag"]), "no column 'a'.*mean 'aa'"),
        (lambda table: table.set_column(0, "a", pa.array(["x", "y"])), "column 'a' is text"),
        (lambda table: table.set_column(0, "a", pa.array([1.0, None])), "1 empty value"),
        (lambda table: table.set_column(0, "a", pa.array([1.0, np.inf])), "row 1 .*, column 'a'"),
    ],
)
def test_wrong_columns_are_told_by_file_and_name(state: Path, change: Any, message: str) -> None:
    good = rows(2).select(["a", "b", "flag"])
    pq.write_table(good, "in/1.parquet")
    pq.write_table(change(good), "in/2.parquet")
    with pytest.raises(JobError, match=message) as raised:
        predict("data.train='in/*.parquet'", "output=out.parquet")
    assert "in/2.parquet" in str(raised.value)
    assert not Path("out.parquet").exists()
    assert not list(Path().glob(".out*"))


@pytest.mark.slow
def test_its_own_output_is_replaced_and_others_only_when_asked(state: Path) -> None:
    pq.write_table(rows(3).drop_columns("id"), "in/1.parquet")
    for suffix in ("parquet", "csv", "jsonl"):
        for _ in range(2):
            predict("data.train=in/1.parquet", f"output=out.{suffix}")
    Path("mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(JobError, match="holds something else"):
        predict("data.train=in/1.parquet", "output=mine.csv")
    predict("data.train=in/1.parquet", "output=mine.csv", "job.overwrite=true")
    assert "prediction" in Path("mine.csv").read_text()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_several_numbers_were_predicted_into_is_its_own(suffix: str, workdir: Path) -> None:
    lines = {
        "csv": ("id,prediction_y,prediction_z", "id,prediction_y,z"),
        "jsonl": ('{"id": 1, "prediction_y": 2, "prediction_z": 3}', '{"prediction_y": 2, "z": 3}'),
    }
    own, anothers = lines[suffix]
    out = workdir / f"out.{suffix}"
    out.write_text(own + "\n")
    assert check_output(str(out), [], overwrite=False) == out
    out.write_text(anothers + "\n")
    with pytest.raises(ConfigError, match="holds something else than predictions"):
        check_output(str(out), [], overwrite=False)


@pytest.mark.slow
def test_dates_are_read_as_they_were_written_in_training(workdir: Path) -> None:
    table = rows(60).drop_columns(["id"])
    days = pa.array([f"{1 + i % 28:02d}.11.2026" for i in range(60)])
    table.append_column("day", days).to_pandas().to_csv("train.csv", index=False)
    dialect = "data.csv.date_format='%d.%m.%Y'"
    asked = [*TRAIN, "data.train=train.csv", "state.url=s", "state.first=true"]
    renate.run([*asked, dialect])
    predict("data.train=train.csv", "output=out.parquet")
    answers = pq.read_table("out.parquet").column("prediction").to_pylist()
    assert renate.load_model("s").predict(table.append_column("day", days)) == answers


def test_two_jobs_do_not_write_one_file(state: Path) -> None:
    pq.write_table(rows(3).drop_columns("id"), "in/1.parquet")
    asked = [*ASK, "data.train=in/1.parquet", "job.version=1,latest", "output=o.csv"]
    said = command(*asked, cwd=state, code=1).stderr
    assert "output=o.csv: two jobs of the sweep would write it" in said


def test_what_is_copied_may_be_of_any_kind(state: Path) -> None:
    """Lists of several lengths, and an index of pandas beside them."""
    frame = rows(3).drop_columns("label").to_pandas()
    frame["more"] = [[1.0], [], [2.0, 3.0]]
    frame.index = [7, 8, 9]
    frame.to_parquet("in/1.parquet")
    predict("data.train=in/1.parquet", "output=out.jsonl", "job.keep=[more,id]")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["more"] for row in found] == [[1.0], [], [2.0, 3.0]]
    image = pa.array([{"bytes": b"x", "path": None}] * 3)
    pq.write_table(rows(3).append_column("image", image), "in/1.parquet")
    with pytest.raises(JobError, match="column 'image' holds bytes, which .jsonl can't"):
        predict("data.train=in/1.parquet", "output=out.jsonl", "job.keep=[image,id]")
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == found


def test_surplus_columns_may_be_left_out(state: Path) -> None:
    pq.write_table(rows(3), "in/1.parquet")
    predict("data.train=in/1.parquet", "output=out.parquet", "job.surplus=ignore")
    assert pq.read_table("out.parquet").column_names == ["prediction", "probability"]


def test_columns_that_training_left_out_are_left_out(state: Path) -> None:
    pq.write_table(rows(3), "in/1.parquet")
    with pytest.raises(JobError, match="column 'id' is none of the state's inputs"):
        predict("data.train=in/1.parquet", "output=out.parquet", "data.target=label")
    for more in ("data.group=id", "data.key=[id]", "data.weight=id", "data.inputs=[a,b,flag]"):
        predict("data.train=in/1.parquet", "output=out.parquet", "job.overwrite=true", more)
        assert pq.read_table("out.parquet").column_names == ["prediction", "probability"]


@pytest.mark.slow
def test_csv_and_json_are_read_too(state: Path) -> None:
    table = rows(6).drop_columns(["label"])
    pq.write_table(table, "in/1.parquet")
    table.to_pandas().to_csv("in/2.csv", index=False)
    Path("in/3.jsonl").write_text("\n".join(json.dumps(row) for row in table.to_pylist()) + "\n")
    found = []
    for name in ("1.parquet", "2.csv", "3.jsonl"):
        predict(f"data.train=in/{name}", "output=out.parquet", "job.keep=[id]")
        found.append(pq.read_table("out.parquet").to_pylist())
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_numbers_have_no_probabilities(workdir: Path) -> None:
    table = rows(80).drop_columns(["id", "label"])
    table = table.append_column("price", pa.array(np.array(table.column("a")) * 10.5))
    pq.write_table(table, "train.parquet")
    asked = ["data=files", "data.target=price", "trainer.max_epochs=1", "state.url=s"]
    renate.run([*asked, "data.train=train.parquet", "state.first=true"])
    predict("data.train=train.parquet", "output=out.parquet")
    found = pq.read_table("out.parquet")
    assert found.column_names == ["prediction"]
    assert found.column("prediction").to_pylist() == renate.load_model("s").predict(table)
    with pytest.raises(
        JobError, match="job.probabilities=all: problem=regression predicts numbers"
    ):
        predict("data.train=train.parquet", "output=out.parquet", "job.probabilities=all")
    with pytest.raises(renate.errors.ConfigError, match="which have none"):
        renate.load_model("s").predict(table, probabilities=True)


@pytest.mark.slow
def test_categories_and_dates_go_through_the_states_encoder(workdir: Path) -> None:
    table = rows(120).drop_columns(["id"])
    colours = pa.array([["red", "green", None][i % 3] for i in range(120)])
    days = pa.array([f"2026-11-{1 + i % 28:02d}" for i in range(120)])
    table = table.append_column("colour", colours).append_column("day", days)
    pq.write_table(table, "train.parquet")
    renate.run([*TRAIN, "data.train=train.parquet", "state.url=s", "state.first=true"])
    table.to_pandas().to_csv("in.csv", index=False)
    predict("data.train=in.csv", "output=out.jsonl")
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    model = renate.load_model("s")
    assert [line["prediction"] for line in lines] == model.predict(table)
    described = {column.name: str(column) for column in model.input.columns}
    assert described["colour"] == "colour text (category)"
    assert described["day"] == "day text (date)"


@pytest.mark.slow
def test_more_than_memory_holds_is_predicted_in_little(state: Path) -> None:
    """Peak memory doesn't grow with the rows of a parquet file."""
    script = (
        "import resource, sys\n"
        "from tests.jobs.test_predict import predict\n"
        "predict('data.train=' + sys.argv[1], 'output=out.parquet')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for number, count in enumerate((20_000, 2_000_000)):
        name = f"in/{number}.parquet"
        pq.write_table(rows(count).select(["a", "b", "flag"]), name, row_group_size=50_000)
        root = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", script, name],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": root, "PATH": "", "HOME": str(state)},
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert pq.read_metadata("out.parquet").num_rows == 2_000_000
    assert peaks[1] - peaks[0] < 150, f"{peaks} MiB for 20 thousand and 2 million rows"
