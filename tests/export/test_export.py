"""Exported versions answer as the version does: in torch.export, ONNX, MLflow, SageMaker."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import renate
from renate.errors import ConfigError, StateError
from renate.export import export as story
from renate.export.export import TOLERANCE, export
from renate.export.formats import onnx, torch_export
from renate.export.scripts import inference
from tests.command import renate as command

FEW = ["trainer.max_steps=3", "state.first=true"]
RNG = np.random.default_rng(0)
NUMBERS = {"a": RNG.normal(5, 3, 90), "b": RNG.normal(-2, 0.1, 90)}
LABELS = np.where(NUMBERS["a"] > 5, "yes", "no")
TEXTS = [f"{word} {word}" * (1 + n % 7) for n, word in enumerate(["sun", "rain", "wind"] * 30)]
IMAGES = RNG.integers(0, 240, (9, 1, 8, 8)).astype(np.uint8)
CITIES = RNG.choice(["Kiel", "Bonn", "Ulm"], 90)


def write(**columns: Any) -> None:
    pq.write_table(pa.table(columns), "train.parquet")


def of_numbers() -> list[str]:
    write(**NUMBERS, label=LABELS)
    return ["data=files", "data.standardize=true", "model=mlp"]


def of_images() -> list[str]:
    return ["data=digits", "data.limit=64", "model=resnet18", "model.width=8"]


def of_texts() -> list[str]:
    write(text=TEXTS, label=LABELS)
    return ["data=text", "data.text=text", "data.vocab_size=280", "model=text_bag"]


def of_mixed() -> list[str]:
    write(**NUMBERS, city=CITIES, label=LABELS)
    return ["data=files", "model=mlp"]


def of_a_number() -> list[str]:
    write(**NUMBERS, label=1000 * NUMBERS["a"])
    return ["data=files", "model=mlp", "problem=regression"]


ROWS: dict[str, Callable[[], Any]] = {
    "numbers": lambda: [
        dict(zip("ab", row, strict=True)) for row in zip(*NUMBERS.values(), strict=True)
    ],
    "images": lambda: IMAGES,
    "texts": lambda: TEXTS[:9],
    "mixed": lambda: [
        {"a": a, "b": b, "city": str(city)}
        for a, b, city in zip(NUMBERS["a"], NUMBERS["b"], CITIES, strict=True)
    ],
    "number": lambda: [
        dict(zip("ab", row, strict=True)) for row in zip(*NUMBERS.values(), strict=True)
    ],
}
MADE = {
    "numbers": of_numbers,
    "images": of_images,
    "texts": of_texts,
    "mixed": of_mixed,
    "number": of_a_number,
}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each kind the URL of a state, made when it is asked for."""
    folder = tmp_path_factory.mktemp("states")

    class Made(dict[str, str]):
        def __missing__(self, kind: str) -> str:
            before = Path.cwd()
            place = folder / kind
            place.mkdir()
            os.chdir(place)
            try:
                lines = MADE[kind]()
                if "data=digits" not in lines:
                    lines += ["data.train=train.parquet", "data.target=label"]
                renate.run([*lines, *FEW, "state.url=s"])
            finally:
                os.chdir(before)
            self[kind] = str(place / "s")
            return self[kind]

    return Made()


def rows_as_tensors(kind: str, url: str) -> dict[str, torch.Tensor]:
    """What a graph takes of raw rows, by the version's own encoder."""
    model = renate.load_model(url)
    raw = ROWS[kind]()
    if kind == "numbers":
        return {"inputs": torch.tensor([[row["a"], row["b"]] for row in raw], dtype=torch.float32)}
    return inference._of_stored(model.feed.encoded(raw))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "images", "texts", "number"])
@pytest.mark.parametrize("form", ["torch_export", "onnx"])
def test_answers_are_the_versions(
    states: dict[str, str], kind: str, form: str, tmp_path: Path
) -> None:
    """In batches of other sizes than the one that was traced."""
    done = export(states[kind], tmp_path / "out", form)
    assert done.difference <= TOLERANCE
    assert done.origin == "memory"
    assert done.examples > 8

    module, file = {
        "torch_export": (torch_export, torch_export.FILE),
        "onnx": (onnx, onnx.FILE),
    }[form]
    run = module.runner_of(tmp_path / "out" / file)
    tensors = rows_as_tensors(kind, states[kind])
    with torch.inference_mode():
        model = renate.load_model(states[kind])
        expected = model.problem.answers(model.outputs(ROWS[kind]())).double()
        for count in (1, 3, len(expected)):
            found = run({name: each[:count] for name, each in tensors.items()}).double()
            scale = max(1.0, float(expected.abs().max())) if kind == "number" else 1.0
            assert float((found - expected[:count]).abs().max()) <= TOLERANCE * scale

    signature = json.loads((tmp_path / "out" / "signature.json").read_text())
    assert signature["labels"] == model.labels
    assert [each["name"] for each in signature["inputs"]] == list(tensors)
    assert signature["checked"]["from"] == "memory"
    assert (tmp_path / "out" / "tokenizer.json").is_file() == (kind == "texts")


CONTAINER = """
import json, sys
sys.path.insert(0, "model/code")
import inference
assert not [name for name in sys.modules if name.split(".")[0] == "renate"]
model = inference.model_fn("model")
rows = inference.input_fn(open("request.json", "rb").read(), "application/json; charset=utf-8")
print(inference.output_fn(inference.predict_fn(rows, model), "application/json"))
with_renate = [name for name in sys.modules if name.split(".")[0] == "renate"]
print(json.dumps(sorted(with_renate)[:1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["texts", "mixed"])
def test_sagemakers_container_calls_its_script(
    states: dict[str, str], kind: str, tmp_path: Path
) -> None:
    """In a process of its own, with nothing but the archive."""
    export(states[kind], tmp_path / "out", "sagemaker")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "model.tar.gz",
        "signature.json",
    }
    with tarfile.open(tmp_path / "out" / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "model", filter="data")

    raw = ROWS[kind]()
    rows = raw.tolist() if isinstance(raw, np.ndarray) else raw
    (tmp_path / "request.json").write_text(json.dumps({"instances": rows}))
    run = [sys.executable, "-c", CONTAINER]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    answers, with_renate = map(json.loads, done.stdout.splitlines())
    assert bool(with_renate) == (kind == "mixed"), "only an encoder of tables needs it"

    model = renate.load_model(states[kind])
    found = [row["prediction"] for row in answers["predictions"]]
    expected = model.predict(raw)
    if kind == "number":
        assert found == pytest.approx(expected, rel=TOLERANCE)
    else:
        assert found == expected
        shares = model.predict(raw, probabilities=True)[0]["probabilities"]
        first = answers["predictions"][0]["probabilities"]
        assert first == pytest.approx({str(k): v for k, v in shares.items()}, abs=TOLERANCE)


@pytest.mark.slow
def test_the_script_says_what_it_cannot_take(states: dict[str, str], tmp_path: Path) -> None:
    export(states["numbers"], tmp_path / "out", "torch_export")
    model = inference.model_fn(tmp_path / "out")
    csv = inference.input_fn("b,a\n-2,9\n-2.1,1\n", "text/csv")
    assert model.answers(csv).equal(model.answers([[9, -2], [1, -2.1]]))
    text = inference.output_fn(model.predict(csv), "text/csv")
    assert text.splitlines()[0] == "prediction,probabilities"
    assert len(text.splitlines()) == 3
    for rows, message in [
        ([{"a": 1}], "row 0: no column 'b'"),
        ([{"a": 1, "b": "x"}], "row 0: column 'b' holds 'x', no number"),
        ([[1, 2, 3]], "rows are of shape"),
        ([[1, float("nan")]], "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.predict(rows)
    with pytest.raises(ValueError, match="content type text/html"):
        inference.input_fn(b"", "text/html")
    assert model.predict([]) == []


@pytest.mark.slow
def test_mlflow_loads_it(states: dict[str, str], tmp_path: Path) -> None:
    import pandas as pd

    done = export(states["numbers"], tmp_path / "out", "mlflow")
    import mlflow.pyfunc as mlflow

    assert done.difference <= TOLERANCE
    loaded = mlflow.load_model(str(tmp_path / "out"))
    answers = loaded.predict(pd.DataFrame(NUMBERS))
    expected = renate.load_model(states["numbers"]).predict(pd.DataFrame(NUMBERS))
    assert [row["prediction"] for row in answers] == expected
    assert (tmp_path / "out" / "MLmodel").is_file()


@pytest.mark.slow
def test_nothing_is_left_of_what_answers_otherwise(
    states: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "TOLERANCE", -1.0)
    with pytest.raises(StateError, match="answers otherwise: by up to .* on 64 examples"):
        export(states["numbers"], tmp_path / "out", "safetensors")
    assert not list(tmp_path.iterdir())


def test_the_command(workdir: Path) -> None:
    """Weights alone: neither a tracer nor a runtime is imported."""
    renate.run(["data.limit=64", "memory=none", "updater=fine_tuning", *FEW, "state.url=s"])
    done = command("export", "s", "--format", "safetensors", "-o", "out", cwd=workdir)
    assert "version     1 of s, as safetensors" in done.stdout
    assert "on 64 examples (made up): 0 apart" in done.stdout
    assert "no real ones are kept" in done.stdout
    assert {path.name for path in Path("out").iterdir()} == {
        "model.json",
        "model.safetensors",
        "signature.json",
    }
    for line, message in [
        (["--format", "onxx", "-o", "o"], "expected one of .*did you mean 'onnx'"),
        (["--format", "onnx", "-o", "out"], "out: there is something already"),
        (["--format", "onnx"], "needs --format and -o FOLDER"),
        (["--format", "onnx", "-o", "o", "--version", "7"], "holds no version 7"),
    ]:
        refused = command("export", "s", *line, cwd=workdir, code=1)
        assert len(refused.stderr.splitlines()) == 1
        with pytest.raises(ConfigError, match=message):
            raise ConfigError(refused.stderr)
    assert not Path("o").exists()

    # Where the command is given, and by a link: folders that are empty stay what they are
    (workdir / "here").mkdir()
    (workdir / "there").mkdir()
    (workdir / "link").symlink_to("there")
    command("export", "../s", "--format", "safetensors", "-o", ".", cwd=workdir / "here")
    command("export", "s", "--format", "safetensors", "-o", "link", cwd=workdir)
    assert (workdir / "link").is_symlink()
    for folder in ("here", "there"):
        assert (workdir / folder / "model.safetensors").is_file()
