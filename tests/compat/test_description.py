"""A config file's functions and their arguments, read without running it."""

from pathlib import Path
from typing import Any

import pytest

from renate.compat.files.description import describe
from renate.errors import ConfigError
from tests.compat.scripts import HERE, bring

REST = "\ndef data_module_fn(data_path: str):\n    pass\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "my_config.py"
    path.write_text(f"raise SystemExit('the file was run')\n{text}")
    return path


def test_arguments_of_all_functions(workdir: Path) -> None:
    found = describe(bring("full", workdir, origin=HERE / "files"))
    kinds = {name: (a.kind, a.optional, a.default) for name, a in found.arguments.items()}
    assert kinds == {
        "hidden": ("int", False, 8),
        "activation": ("str", False, "ReLU"),
        "rows": ("int", False, 200),
        "scale": ("float", False, 16.0),
        "smoothing": ("float", False, 0.0),
        "rate": ("float", False, 0.05),
        "betas": ("tuple", False, (0.9, 0.999)),
        "interval": ("str", False, "epoch"),
        "sizes": ("list", True, None),
    }
    assert found.arguments["scale"].functions == (
        "data_module_fn",
        "train_transform",
        "test_transform",
    )
    assert found.functions["data_module_fn"] == ("data_path", "chunk_id", "seed", "rows", "scale")
    assert found.metrics == ("accuracy", "f1")


@pytest.mark.parametrize(
    ("annotation", "kind", "optional"),
    [
        ("bool", "bool", False),
        ("list", "list", False),
        ("List[int]", "list", False),
        ("list[int]", "list", False),
        ("typing.Tuple[int, ...]", "tuple", False),
        ("Optional[float]", "float", True),
        ("Union[int, None]", "int", True),
        ("int | None", "int", True),
        ("'Optional[str]'", "str", True),
        ("int | tuple[int, ...] | None", "int or tuple", True),
        ("Union[Tuple[int], int]", "int or tuple", False),
    ],
)
def test_types(workdir: Path, annotation: str, kind: str, optional: bool) -> None:
    path = written(
        workdir, f"def model_fn(model_state_url=None, x: {annotation} = None): pass{REST}"
    )
    argument = describe(path).arguments["x"]
    assert (argument.kind, argument.optional) == (kind, optional)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"def model_fn(x): pass{REST}", "its argument 'x' has no type: expected one of bool"),
        (f"def model_fn(x: dict): pass{REST}", "'x' is of type dict: expected one of bool"),
        (f"def model_fn(x: int | str): pass{REST}", "'x' is of type int | str"),
        (f"def model_fn(**x): pass{REST}", "expected arguments by name"),
        (f"def model_fn(path: str): pass{REST}", "'path' is the file's own path"),
        (f"def modelfn(): pass{REST}", "it defines no model_fn, did you mean 'modelfn'?"),
        ("def model_fn(): pass", "it defines no data_module_fn"),
        ("def model_fn(:", "line 2: no Python"),
        (
            "def model_fn(x: int): pass\ndef data_module_fn(data_path: str, x: str): pass",
            "'x' is a int in model_fn and a str in data_module_fn: expected one type",
        ),
    ],
)
def test_files_that_cant_be_right(workdir: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        describe(written(workdir, text))
    assert message in str(error.value)
    assert "my_config.py" in str(error.value)


def test_no_such_file(workdir: Path) -> None:
    written(workdir, f"def model_fn(): pass{REST}")
    with pytest.raises(ConfigError, match="no such file, did you mean 'my_config.py'"):
        describe("my_confg.py")


def test_a_file_that_was_edited_is_read_again(workdir: Path) -> None:
    path = written(workdir, f"def model_fn(x: int = 1): pass{REST}")
    assert describe(path).defaults() == {"x": 1}
    path.write_text(f"def model_fn(x: int = 2): pass{REST}")
    assert describe(path).defaults() == {"x": 2}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("bool", True, 1),
        ("int", 3, True),
        ("int", 3, 3.5),
        ("float", 3, "3"),
        ("str", "a", 1),
        ("list", [1], 1),
        ("tuple", [1], "a"),
        ("int | tuple", 1, 1.5),
        ("int | tuple", [1], True),
    ],
)
def test_values_are_of_their_type(workdir: Path, kind: str, good: Any, bad: Any) -> None:
    path = written(workdir, f"def model_fn(x: {kind}): pass{REST}")
    argument = describe(path).arguments["x"]
    argument.check(good, "")
    expected = f"model_fn expects a {kind.replace('|', 'or')}"
    with pytest.raises(ConfigError, match=expected):
        argument.check(bad, "")
    with pytest.raises(ConfigError, match=expected):
        argument.check(None, "")


def test_an_argument_that_only_one_function_may_lack_must_be_given(workdir: Path) -> None:
    data = "def data_module_fn(data_path: str, x: str): pass"
    found = describe(written(workdir, f"def model_fn(x: Optional[str] = None): pass\n{data}"))
    assert found.missing({}) == ["x"]
    assert found.defaults() == {}
    with pytest.raises(ConfigError, match="model_fn and data_module_fn expects a str"):
        found.arguments["x"].check(None, "")
