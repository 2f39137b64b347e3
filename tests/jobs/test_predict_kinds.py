"""Predictions of images, texts and several labels, from files and in a process alike."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import renate
from renate.errors import DataError, JobError
from tests.jobs.test_predict import run_here

FIRST = "state.first=true"
QUICK = ["trainer.max_epochs=1", "state.url=s", "model.hidden_sizes=[4]"]


def picture(shade: int, rng: np.random.Generator, size: tuple[int, int] = (6, 5)) -> Image.Image:
    noise = rng.integers(0, 40, size, np.uint8)
    return Image.fromarray((noise + shade).astype(np.uint8))


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pictures(count: int, seed: int, size: tuple[int, int] = (6, 5)) -> tuple[list[Any], list[int]]:
    rng = np.random.default_rng(seed)
    labels = [number % 2 for number in range(count)]
    return [picture(200 * label, rng, size) for label in labels], labels


@pytest.mark.slow
def test_images_in_files_and_of_pillow(workdir: Path) -> None:
    images, labels = pictures(40, 0)
    binary = [encoded(image) for image in images]
    pq.write_table(pa.table({"image": binary, "label": labels}), "train.parquet")
    renate.run(
        ["data=files", "data.train=train.parquet", "data.target=label", "state.first=true", *QUICK]
    )
    ask = ["job=predict", "state.url=s", "data=files", "data.train=train.parquet"]
    run_here(*ask, "output=out.csv", "job.keep=[label]", "trainer.eval_batch_size=7")
    lines = Path("out.csv").read_text().splitlines()[1:]
    answers = [int(line.split(",")[1]) for line in lines]

    model = renate.load_model("s")
    stored = np.stack([np.asarray(image)[None] for image in images])
    assert model.predict(images) == answers
    assert model.predict(stored) == answers
    assert model.predict({"image": binary}) == answers
    assert model.predict(images[0]) == model.predict(stored[0]) == answers[0]
    assert str(model.input) == "image image uint8 [1, 6, 5] 0 to 239"

    with pytest.raises(DataError, match="row 1 .* is 9×5 pixels"):
        model.predict([images[0], pictures(1, 1, (9, 5))[0][0]])
    with pytest.raises(JobError, match="column 'image' holds bytes, which .csv can't"):
        run_here(*ask, "output=out.csv", "job.keep=[image]")
    binary[3] = b"no image"
    pq.write_table(pa.table({"image": binary}), "bad.parquet")
    with pytest.raises(JobError, match=r"bad.parquet: column 'image': row 3 .* is no image"):
        run_here(*ask, "data.train=bad.parquet", "output=bad.csv")


@pytest.mark.slow
def test_images_are_resized_as_training_did(workdir: Path) -> None:
    images, labels = pictures(40, 0, (8, 9))
    table = pa.table({"image": [encoded(image) for image in images], "label": labels})
    pq.write_table(table, "train.parquet")
    size = "data.image_size=[4,4]"
    asked = ["data=files", "data.train=train.parquet", "data.target=label"]
    renate.run([*asked, "state.first=true", size, *QUICK])
    model = renate.load_model("s")
    run_here("job=predict", "state.url=s", *asked[:2], "output=out.jsonl")
    lines = Path("out.jsonl").read_text().splitlines()
    answers = [json.loads(line)["prediction"] for line in lines]
    assert model.predict(images) == answers
    evaluated = run_here("job=evaluate", "state.url=s", *asked, "data.test=train.parquet", size)
    right = np.mean(np.array(answers) == np.array(labels))
    assert evaluated.metrics["test_accuracy"] == pytest.approx(right)


def test_booleans_are_answered_in_booleans(workdir: Path) -> None:
    """A state keeps them as 0 and 1, which compare with no column of `true` and `false`."""
    values = [float(number % 17) for number in range(60)]
    flags = [value > 8 for value in values]
    pq.write_table(pa.table({"x": values, "label": flags}), "t.parquet")
    renate.run(["data=files", "data.train=t.parquet", "data.target=label", *QUICK, FIRST])

    ask = ["job=predict", "state.url=s", "data=files", "data.train=t.parquet"]
    run_here(*ask, "output=out.parquet", "job.probabilities=all")
    found = pq.read_table("out.parquet")
    assert found.schema.field("prediction").type == pa.bool_()
    assert found.column_names[-2:] == ["probability_False", "probability_True"]

    model = renate.load_model("s")
    assert model.labels == [False, True]
    answers = model.predict({"x": values})
    assert {type(answer) for answer in answers} == {bool}
    assert answers == found.column("prediction").to_pylist()


@pytest.mark.slow
def test_several_labels_are_lists(workdir: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    tags = [["up"] * int(value > -1) + ["high"] * int(value > 0.5) for value in x]
    pq.write_table(pa.table({"x": x, "tags": tags}), "train.parquet")
    asked = ["data=files", "data.train=train.parquet", "data.target=tags"]
    renate.run([*asked, "state.first=true", *QUICK, "trainer.max_epochs=20", "optimizer.lr=0.5"])
    model = renate.load_model("s")
    for suffix in ("parquet", "csv", "jsonl"):
        run_here(
            "job=predict", "state.url=s", *asked[:2], f"output=out.{suffix}", "job.keep=[tags]"
        )
    found = pq.read_table("out.parquet").to_pylist()
    answers = model.predict({"x": x}, probabilities=True)
    assert [row["prediction"] for row in found] == [answer["prediction"] for answer in answers]
    assert any(row["prediction"] == ["high", "up"] for row in found)
    assert all(len(row["probability"]) == len(row["prediction"]) for row in found)
    assert all(min(row["probability"], default=1) >= 0.5 for row in found)
    lines = Path("out.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == [r["prediction"] for r in found]
    assert '"[""high"", ""up""]"' in Path("out.csv").read_text()


@pytest.mark.slow
def test_texts(workdir: Path) -> None:
    pytest.importorskip("tokenizers")
    words = [["good", "fine", "great"], ["bad", "poor", "awful"]]
    rows = [{"text": f"{words[n % 2][n % 3]} day {n}", "label": n % 2} for n in range(80)]
    Path("train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    asked = ["data=text", "data.train=train.jsonl", "model=text_bag", "transform=none"]
    columns = ["data.text=text", "data.target=label"]
    renate.run([*asked, *columns, "state.first=true", "state.url=s", "trainer.max_epochs=1"])
    model = renate.load_model("s")
    run_here("job=predict", "state.url=s", *asked[:2], "output=out.jsonl", "job.keep=[text]")
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    texts = [row["text"] for row in rows]
    answers = [line["prediction"] for line in lines]
    assert [line["text"] for line in lines] == texts
    assert model.predict(texts) == model.predict(rows) == answers
    assert model.predict(texts[0]) == model.predict({"text": texts[0]}) == answers[0]
    assert str(model.input) == "text text"
