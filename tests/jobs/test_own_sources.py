"""Which files a job's own code consists of."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from renate.errors import ConfigError
from renate.jobs.identity.sources import Sources

Write = Callable[[Mapping[str, str]], Sources]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(files: Mapping[str, str]) -> Sources:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Sources([tmp_path])

    return make


# What `net` brings along, by the way in which it is imported.
IMPORTS = {
    "a module": ("import layers", {"layers.py"}),
    "within a function": ("def f():\n    from layers import A", {"layers.py"}),
    "over two": ("import between", {"between.py", "layers.py"}),
    "a package": ("import pack", {"pack/__init__.py"}),
    "of a package": (
        "from pack import inner",
        {"pack/__init__.py", "pack/inner.py", "pack/other.py"},
    ),
    "by its path": ("import pack.inner", {"pack/__init__.py", "pack/inner.py", "pack/other.py"}),
    "without __init__": ("from folder import loose", {"folder/loose.py"}),
    "by a call": (
        "import importlib\nimportlib.import_module('lay' + 'ers')",
        {"between.py", "layers.py", "single.py"},
    ),
    "an installed one": ("import torch, json, renate.models.mlp", set()),
}


@pytest.mark.parametrize("how", IMPORTS)
def test_what_a_module_brings_along_belongs_to_it(how: str, write: Write, tmp_path: Path) -> None:
    line, expected = IMPORTS[how]
    sources = write(
        {
            "net.py": line,
            "layers.py": "WIDTH = 4",
            "between.py": "import layers\nimport net",
            "single.py": "",
            "pack/__init__.py": "",
            "pack/inner.py": "from .other import X",
            "pack/other.py": "X = 1",
            "folder/loose.py": "",
        }
    )
    found = {str(path.relative_to(tmp_path)) for path in sources.files(["net"]).values()}
    assert found == {"net.py", *expected}

    before = sources.digest(["net"])
    for name in ["net.py", *expected]:
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\nMORE = 1")
        assert sources.digest(["net"]) != before, name
        before = sources.digest(["net"])
    (tmp_path / "unrelated.py").write_text("")
    if how != "by a call":
        assert sources.digest(["net"]) == before


def test_a_file_that_is_no_python_is_named(write: Write) -> None:
    sources = write({"net.py": "import layers", "layers.py": "def f(:"})
    with pytest.raises(ConfigError, match=r"layers.py, line 1: not Python"):
        sources.digest(["net"])
