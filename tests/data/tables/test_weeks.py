"""Untidy tables through weekly updates, from the command line."""

import datetime
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.data.base import Known
from renate.data.kept.encoders import KeptEncoder
from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import ConfigError, DataError
from renate.state.versions import State
from tests.command import renate as command
from tests.data.scenes import as_kept, files

ON = [
    "data=files",
    "data.target=late",
    "data.csv={separator:semicolon,decimal:comma,encoding:latin-1,missing:['-']}",
    "state.url=./state",
    "trainer.max_epochs=8",
    "optimizer=adam",
    "optimizer.lr=0.01",
]


def write_week(path: str, seed: int, cities: list[str], order: int = 1) -> None:
    """Orders, late where they go far or on a weekend; some values are missing."""
    rng = random.Random(seed)
    names = ["ordered", "city", "weight", "express", "late"]
    lines = [";".join(names[::order])]
    for _ in range(240):
        day = datetime.date(2026, 1, 5 + 7 * seed) + datetime.timedelta(rng.randrange(7))
        city = rng.choice(cities)
        far = city in cities[:2]
        late = (far or day.weekday() > 4) and rng.random() < 0.95
        weight = "-" if rng.random() < 0.1 else f"{rng.uniform(1, 30):.2f}".replace(".", ",")
        shown = "" if rng.random() < 0.05 else city
        values = [f"{day} {rng.randrange(24):02d}:15", shown, weight, rng.choice(["true", "false"])]
        lines.append(";".join([*values, "yes" if late else "no"][::order]))

    Path(path).write_bytes("\n".join(lines).encode("latin-1"))


def scores(version: int) -> dict[str, Any]:
    state = State("./state")
    found = json.loads(bytes(state.read(state.manifest(version), "metrics.json")))
    after: dict[str, Any] = found["after"]["test"]
    return after


@pytest.mark.slow
def test_three_weeks_of_an_untidy_export(workdir: Path) -> None:
    write_week("1.csv", 1, ["München", "Kiel", "Köln", "Bonn"])
    write_week("2.csv", 2, ["München", "Kiel", "Köln", "Bonn", "Ulm"], order=-1)
    write_week("3.csv", 3, ["München", "Kiel", "Köln"])
    first = command(*ON, "data.train=1.csv", "state.first=true", cwd=workdir)
    said = (
        "inputs: 1 number (standardised, 1 with missing values), 1 boolean, 1 category (5 one-hot "
    )
    assert f"{said}columns), 1 date" in " ".join(first.stderr.split())

    second = command(*ON, "data.train=2.csv", cwd=workdir)
    assert "column 'city': 'Ulm' wasn't there in training: taken as 'other'" in second.stderr
    command(*ON, "data.train=3.csv", cwd=workdir)
    state = State("./state")
    kept = [state.manifest(version).files["encoder.json"].sha256 for version in (1, 2, 3)]
    assert len(set(kept)) == 1
    assert all(scores(version)["accuracy"] > 0.8 for version in (1, 2, 3))

    shown = command("state", "show", "./state", cwd=workdir)
    assert said in " ".join(shown.stdout.split())

    row = {"city": "Köln", "weight": None, "express": True, "ordered": "2026-01-20T10:00"}
    model = renate.load_model("./state")
    answers = model.predict({name: [value] * 2 for name, value in row.items()})
    assert answers[0] == answers[1]
    assert answers[0] in ("yes", "no")


def as_known(data: Any) -> Known:
    """What the next version knows, with the encoder."""
    return replace(as_kept(data), encoder=KeptEncoder.of(data.encoder))


@pytest.mark.usefixtures("workdir")
def test_later_weeks_that_are_refused() -> None:
    write_week("1.csv", 1, ["München", "Kiel", "Köln"])
    like = {"separator": "semicolon", "decimal": "comma", "encoding": "latin-1", "missing": ["-"]}
    plain: dict[str, Any] = {"target": "late", "csv": like, "standardize": None}
    known = as_known(files("1.csv", **plain).load(seed=0))
    content = Path("1.csv").read_bytes()

    def refused(match: str, old: bytes, new: bytes, **changes: Any) -> None:
        Path("2.csv").write_bytes(content.replace(old, new, 1))
        with pytest.raises((DataError, ConfigError), match=match):
            files("2.csv", **plain | changes).load(seed=0, known=known)

    refused("2.csv: no column 'weight', which the state has", b";weight;", b";mass;")
    more = content.replace(b";late\n", b";late;note\n").replace(b"\n2", b";n\n2")
    note = more.replace(b";late;note;n", b";late;note") + b";n"
    refused("2.csv: column 'note' is none of the state's inputs", content, note)
    refused(r"'express' is text, in the state it is boolean.*row \d+ holds '2'", b";true;", b";2;")
    refused(
        r"'weight' is text, in the state it is number.*\(row 0 holds 'x'\)", *first_weight(content)
    )
    refused("holds '05.01.2026 1', expected a date as in", content[33:49], b"05.01.2026 1")
    refused("unseen='error', that of the state 'other'", b"", b"", unseen="error")
    refused("has missing='flag', that of the state 'auto'", b"", b"", missing="flag")
    refused("has kinds={'city': 'text'}, that of", b"", b"", kinds={"city": "text"})


def first_weight(content: bytes) -> tuple[bytes, bytes]:
    line = content.split(b"\n")[1]
    weight = line.split(b";")[2]
    return line, line.replace(b";" + weight + b";", b";x;")


@pytest.mark.slow
def test_embedded_categories_train_and_predict(workdir: Path) -> None:
    write_week("1.csv", 1, ["München", "Kiel", "Köln", "Bonn"])
    embed = ["data.categories=embed", "model=tabular", "updater=derpp"]
    command(*ON, *embed, "data.train=1.csv", "state.first=true", cwd=workdir)
    write_week("2.csv", 2, ["München", "Kiel", "Köln", "Ulm"])
    command(*ON, *embed, "data.train=2.csv", cwd=workdir)
    assert scores(2)["accuracy"] > 0.8
    raw = {"city": ["Köln"], "weight": [3.5], "express": [False], "ordered": ["2026-01-20"]}
    assert renate.load_model("./state").predict(raw)[0] in ("yes", "no")
    write_week("3.csv", 3, ["München", "Kiel", "Köln"])
    refused = command(*ON, "model=tabular", "data.train=3.csv", cwd=workdir, code=1)
    assert "categories='one_hot', that of the state 'embed'" in refused.stderr


@pytest.mark.usefixtures("workdir")
def test_rows_without_a_target() -> None:
    Path("a.csv").write_text("x,label\n1,a\n2,\n3,b\n4,a\n5,\n6,b\n")
    with pytest.raises(
        Exception, match=r"has 2 empty values: drop those rows \(1, 4\), or data.mi"
    ):
        files("a.csv").load(seed=0)
    data = files("a.csv", missing_target="drop").load(seed=0)
    assert data.train["inputs"].tolist() == [[1.0], [3.0], [4.0], [6.0]]
    assert "a.csv: 2 of 6 rows have no target: left out" in data.notes
    with pytest.raises(ConfigError, match="data.missing_target=skip: expected error or drop"):
        files("a.csv", missing_target="skip")

    Path("a.csv").write_text("x,y,label\n1,u,a\n2,v,\n3,u,b\n1e300,u,a\n")
    with pytest.raises(Exception, match=r"a.csv: row 3 \(the first is 0\), column 'x' is infinite"):
        files("a.csv", missing_target="drop").load(seed=0)
    Path("a.csv").write_text("x,label\n1,a\n2,\n3,b\n1e300,a\n")
    with pytest.raises(Exception, match=r"a.csv: row 3 \(the first is 0\), column 'x' is infinite"):
        files("a.csv", missing_target="drop").load(seed=0)


@pytest.mark.usefixtures("workdir")
def test_a_plain_table_has_no_encoder_and_others_have() -> None:
    Path("a.csv").write_text("x,label\n1,a\n2,b\n3,b\n4,a\n")
    for changes, expected in [
        ({}, None),
        ({"standardize": None}, None),
        ({"missing": "error"}, None),
        ({"missing": "median"}, TableEncoder),
        ({"missing": "flag"}, TableEncoder),
        ({"kinds": {"x": "category"}}, TableEncoder),
        ({"categories": "embed"}, TableEncoder),
    ]:
        source = files("a.csv", **changes)
        source.load(seed=0)
        assert type(source.encoder) is (type(None) if expected is None else expected)

    with pytest.raises(ConfigError, match="data.kinds.y: no input of that name"):
        files("a.csv", kinds={"y": "category"}).load(seed=0)
    with pytest.raises(ConfigError, match="data.kinds.x=date: a.csv holds the column as number"):
        files("a.csv", kinds={"x": "date"}).load(seed=0)
