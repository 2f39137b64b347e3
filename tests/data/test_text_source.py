"""A source of texts with an encoder, in a repository of experiments, without an edit of the
package.
"""

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import renate
from renate.state.versions import State
from tests.command import renate as command
from tests.jobs.test_resume import files, interrupted

REPOSITORY = Path(__file__).parent / "text_repository"
TOPICS = {
    "sports": ["goal", "match", "team", "coach", "league", "score"],
    "science": ["atom", "cell", "theory", "planet", "data", "lab"],
    "money": ["bank", "stock", "price", "market", "trade", "tax"],
}
COMMON = ["the", "a", "of", "and", "in"]
TRAINED = ["trainer.max_epochs=4", "optimizer.lr=0.5", "data.batch_size=16"]


def write_texts(path: Path, seed: int, rows: int = 150) -> None:
    """Of one to nine words, a week's own among them."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rows):
        label = rng.choice(sorted(TOPICS))
        words = rng.choices(TOPICS[label], k=rng.randint(1, 5))
        words += rng.choices([*COMMON, f"week{seed}"], k=rng.randint(0, 4))
        rng.shuffle(words)
        lines.append(json.dumps({"text": " ".join(words), "label": label}))
    path.write_text("\n".join(lines))


@pytest.fixture
def texts(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(workdir)
    monkeypatch.delitem(sys.modules, "my_texts", raising=False)
    shutil.copytree(REPOSITORY, workdir, dirs_exist_ok=True)
    for week in (1, 2, 3):
        write_texts(workdir / f"{week}.jsonl", week)
    return workdir


def update(folder: Path, week: int, *more: str, code: int = 0, url: str = "./state") -> Any:
    first = f"state.first={str(week == 1).lower()}"
    asked = ["data=texts", "model=bag", f"data.corpus={week}.jsonl", f"state.url={url}", first]
    return command(*asked, *TRAINED, *more, cwd=folder, code=code)


def kept(url: str, name: str, version: int | None = None) -> Any:
    state = State(url)
    return json.loads(bytes(state.read(state.manifest(version), name)))


@pytest.mark.slow
@pytest.mark.parametrize("updater", ["er", "derpp"])
def test_three_updates(texts: Path, updater: str) -> None:
    for week in (1, 2, 3):
        update(texts, week, f"updater={updater}")

    vocabularies = [kept("./state", "encoder.json", version) for version in (1, 2, 3)]
    words = vocabularies[0]["state"]["words"]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]
    assert "week1" in words
    assert "week2" not in words, "an encoder is fitted once"
    assert State("./state").manifest(3).files["encoder.json"].size > 0

    memory = kept("./state", "memory/meta.json")
    assert memory["schema"]["inputs.ids"] == ["int64", [], 0]
    assert memory["count"] > 300

    scores = kept("./state", "metrics.json")["after"]["test"]
    assert scores["accuracy"] > 0.8

    model = renate.load_model("./state", trust=["my_texts"])
    raw = ["the goal of the team", "atom", "stock of a bank in zzz"]
    assert model.predict(raw) == ["sports", "science", "money"]
    for text, logits in zip(raw, model(raw), strict=True):
        assert torch.allclose(model([text])[0], logits, atol=1e-6), "padding has no say"

    # The same numbers as an evaluation, of the very texts
    write_texts(texts / "held.jsonl", 9)
    rows = [json.loads(line) for line in (texts / "held.jsonl").read_text().splitlines()]
    asked = ["job=evaluate", "data=texts", "model=bag", "data.corpus=3.jsonl"]
    done = command(
        *asked, "data.held_out=held.jsonl", "state.url=./state", f"updater={updater}", cwd=texts
    )
    logits = model([row["text"] for row in rows])
    targets = torch.tensor([model.labels.index(row["label"]) for row in rows])
    loss = float(torch.nn.functional.cross_entropy(logits, targets).detach())
    assert f"{loss:.4f}" in done.stdout
    right = sum(
        a == row["label"]
        for a, row in zip(model.predict([r["text"] for r in rows]), rows, strict=True)
    )
    assert f"{right / len(rows):.4f}" in done.stdout


@pytest.mark.slow
def test_a_stream(texts: Path) -> None:
    asked = [
        "job=stream",
        "data=texts",
        "model=bag",
        "data.corpus=1.jsonl",
        "scenario=class_incremental",
    ]
    command(*asked, "scenario.chunks=3", "updater=er", "state.url=./stream", *TRAINED, cwd=texts)
    assert State("./stream").versions() == [1, 2, 3]
    assert kept("./stream", "encoder.json", 1) == kept("./stream", "encoder.json", 3)
    refused = command(*asked[:-1], "scenario=permutation", "scenario.chunks=2", cwd=texts, code=1)
    assert refused.stderr.splitlines()[-1].startswith(
        "renate: scenario=permutation needs inputs that are one tensor"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        ["updater=joint"],
        ["updater=fine_tuning"],
        ["memory=class_balanced", "memory.capacity=30"],
        ["memory=sliding_window", "memory.capacity=30", "memory.max_ram=1"],
        ["trainer.precision=64-true"],
        ["trainer.precision=bf16-true", "updater=derpp"],
        ["trainer.devices=2", "trainer.accelerator=cpu", "updater=derpp", "memory.capacity=40"],
    ],
    ids=" ".join,
)
def test_whatever_trains_it(texts: Path, how: list[str]) -> None:
    for week in (1, 2):
        update(texts, week, *how)
    scores = kept("./state", "metrics.json")["after"]["test"]
    assert scores["accuracy"] > 0.7
    assert renate.load_model("./state", trust=["my_texts"]).predict(["goal match"]) == ["sports"]


@pytest.mark.slow
def test_a_new_label_and_fields_that_were_missing(texts: Path) -> None:
    update(texts, 1, "updater=er")
    more = [json.dumps({"text": f"song tune {n} chord", "label": "music"}) for n in range(40)]
    with (texts / "2.jsonl").open("a") as file:
        file.write("\n" + "\n".join(more))
    update(texts, 2, "updater=derpp", "memory.backfill=true", "+model.grow=true")
    model = renate.load_model("./state", trust=["my_texts"])
    assert model.labels == ["money", "science", "sports", "music"]
    assert "logits" in kept("./state", "memory/meta.json")["schema"]


@pytest.mark.slow
def test_a_changed_file_is_a_new_job(texts: Path) -> None:
    (texts / "words.txt").write_text("\n".join(sum(TOPICS.values(), [])))
    lines = [
        update(texts, 1, "data.vocab=words.txt", "state.url=null", "state.first=false")
        for _ in range(2)
    ]
    jobs = {p.name for p in (texts / "runs").iterdir() if not p.is_symlink()}
    assert len(jobs) == 1, lines
    (texts / "words.txt").write_text("\n".join([*sum(TOPICS.values(), []), "week1"]))
    update(texts, 1, "data.vocab=words.txt", "state.url=null", "state.first=false")
    write_texts(texts / "1.jsonl", 7)
    update(texts, 1, "data.vocab=words.txt", "state.url=null", "state.first=false")
    assert len({p.name for p in (texts / "runs").iterdir() if not p.is_symlink()}) == 3


@pytest.mark.slow
def test_another_encoder_is_refused(texts: Path) -> None:
    update(texts, 1)
    refused = update(texts, 2, "data.encoder.least=3", code=1).stderr.splitlines()[-1]
    assert refused.startswith(
        "renate: data: my_texts.Words has least=3, that of the state 2, and what it fitted is kept"
    )
    refused = command("state.url=./state", "seed=1", cwd=texts, code=1).stderr.splitlines()[-1]
    assert refused.startswith(
        "renate: data: the state's inputs went through the encoder my_texts.Words, this source has none"
    )
    command("state.url=./digits", "state.first=true", "trainer.max_epochs=1", cwd=texts)
    refused = update(texts, 2, url="./digits", code=1).stderr.splitlines()[-1]
    assert "went through the encoder none, this source has my_texts.Words" in refused


@pytest.mark.slow
def test_images_transforms_are_refused_for_several_inputs(texts: Path) -> None:
    crop = "transform.inputs.stream=[{_target_:renate.data.transforms.RandomCrop,padding:1}]"
    refused = update(texts, 1, crop, code=1).stderr.splitlines()[-1]
    assert "transform: RandomCrop takes one tensor, these inputs are several" in refused
    update(texts, 1, "transform=scale")


@pytest.mark.slow
def test_interrupted_is_as_uninterrupted(texts: Path) -> None:
    asked = ["data=texts", "model=bag", "data.corpus=1.jsonl", "updater=derpp", "seed=3"]
    asked += ["trainer.max_epochs=80", "memory.capacity=60", "trainer.checkpoint_every=0.2"]
    interrupted(texts, asked, "SIGKILL")
    command(*asked, cwd=texts)
    command(*asked, "run_dir=./whole", cwd=texts)
    ours = files(texts, "runs")
    theirs = files(texts, "whole")
    assert ours.keys() == theirs.keys()
    assert any("inputs.ids.offsets" in tensors for tensors in ours.values())
    for name, tensors in ours.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, theirs[name][key]), (name, key)
