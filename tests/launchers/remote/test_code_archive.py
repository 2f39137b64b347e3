"""The same code is the same archive, and it is all that a job needs."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from renate.errors import ConfigError
from renate.launchers.remote import code_archive


def names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()


def test_the_same_content_is_the_same_archive(tmp_path: Path) -> None:
    one = tmp_path / "one.py"
    two = tmp_path / "two.py"
    one.write_text("a = 1\n")
    two.write_text("a = 1\n")
    os.utime(two, (0, 0))
    two.chmod(0o700)
    assert code_archive.pack({"b.py": one, "a.py": b""}, 1) == code_archive.pack(
        {"a.py": b"", "b.py": two}, 1
    )
    assert code_archive.pack({"b.py": one}, 1)[0] != code_archive.pack({"c.py": one}, 1)[0]


def test_the_package_runs_from_its_archive(tmp_path: Path) -> None:
    _, packed = code_archive.pack(code_archive.package(), 5)
    assert not [
        name
        for name in names(packed)
        if "__pycache__" in name or name.startswith(("tests", "conf/"))
    ]
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(tmp_path, filter="data")
    code = """import importlib.metadata as about
from renate.launchers.composing.conf import CONF
from renate.launchers import remote
print(remote.__file__, CONF, about.distribution("renate-cl").locate_file("x"))
print([point.name for point in about.entry_points(group="hydra.plugins")])"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path.parent,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert said.stdout.count(str(tmp_path)) == 3
    assert "renate_sweeper" in said.stdout


def test_own_modules_go_along_where_the_config_names_one(workdir: Path) -> None:
    (workdir / "my_nets.py").write_text("")
    (workdir / "my_package/data").mkdir(parents=True)
    (workdir / "my_package/__init__.py").write_text("")
    (workdir / "my_package/data/table.json").write_text("{}")
    (workdir / "big.bin").write_bytes(b"x")
    (workdir / "extra").mkdir()
    (workdir / "extra/more.py").write_text("")
    assert code_archive.own_modules(["torch.nn", "renate.models.mlp"], [], workdir) == {}
    found = code_archive.own_modules(["my_nets"], [], workdir)
    assert set(found) == {"my_nets.py", "my_package/__init__.py", "my_package/data/table.json"}
    assert set(code_archive.source_dirs(["extra"])) == {"extra/more.py"}
    assert set(code_archive.source_dirs(["my_nets.py"])) == {"my_nets.py"}
    with pytest.raises(ConfigError, match=r"backend.source_dirs=nix: no such folder \(from "):
        code_archive.source_dirs(["nix"])


def test_of_two_configs_the_one_travels_that_is_composed_here(tmp_path: Path) -> None:
    """A sweep that is one job is composed where it runs."""
    for name in ("first", "second"):
        (tmp_path / name / "updater").mkdir(parents=True)
        (tmp_path / name / "updater" / "mine.yaml").write_text(f"alpha: {name}")
        (tmp_path / name / "updater" / f"{name}.yaml").write_text("")

    sources = [SimpleNamespace(provider="p", path=tmp_path / name) for name in ("first", "second")]
    found = code_archive.own_configs(sources)
    assert found["conf/updater/mine.yaml"] == tmp_path / "first" / "updater" / "mine.yaml"
    assert set(found) == {f"conf/updater/{name}.yaml" for name in ("mine", "first", "second")}


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "nets").mkdir(parents=True)
        (tmp_path / parent / "nets" / "__init__.py").write_text("")

    one = str(tmp_path / "a" / "nets")
    assert set(code_archive.source_dirs([one, f"{one}/"])) == {"nets/__init__.py"}
    with pytest.raises(ConfigError, match=r"a/nets is called nets too"):
        code_archive.source_dirs([one, str(tmp_path / "b" / "nets")])


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text("")
    (tmp_path / "nets" / "again").symlink_to(tmp_path / "nets", target_is_directory=True)
    assert [path.name for path in code_archive.below(tmp_path / "nets")] == ["mine.py"]


def test_modules_of_one_name_from_two_places_are_refused(tmp_path: Path) -> None:
    """The job would import one of them, whichever is imported here."""
    for name, text in (("a", "x = 1\n"), ("b", "x = 2\n"), ("c", "x = 1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nets.py").write_text(text)

    parts = {name: code_archive.beside(tmp_path / name / "my_config.py") for name in "abc"}
    assert code_archive.together(parts["a"], parts["c"], parts["a"]) == parts["a"]
    with pytest.raises(ConfigError, match=r"b/nets.py: \S+a/nets.py would have the same name"):
        code_archive.together(parts["a"], parts["b"])
