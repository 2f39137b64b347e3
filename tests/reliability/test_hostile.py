"""States that are damaged, or made by somebody else: one line, and nothing is run."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.errors import ConfigError, RenateError, StateError
from renate.state.publish import publish, stage
from renate.state.versions import State


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a real version."""
    folder = tmp_path_factory.mktemp("made")
    url = str(folder / "state")
    quick = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]
    renate.run([*quick, f"state.url={url}", "state.first=true", f"run_dir={folder}/runs"])
    state = State(url)
    manifest = state.manifest()
    return {name: bytes(state.read(manifest, name)) for name in manifest.files}


def state_of(folder: Path, files: dict[str, bytes]) -> State:
    state = State(str(folder / "state"))
    stage(state, iter(files.items()), job="x", parent=None, lineage={})
    publish(state, "x")
    return state


def deploy(**changes: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        content = json.loads(files["model.json"])
        for key, value in changes.items():
            content[key] = content[key] | value if isinstance(content[key], dict) else value
        return files | {"model.json": json.dumps(content).encode()}

    return change


def tensors(data: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: files | {"model.safetensors": data}


HEADER = json.dumps(
    {"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
).encode()


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (
            deploy(model={"_target_": "os.system"}),
            ConfigError,
            "a state's config may name only renate.models.*",
        ),
        (
            deploy(model={"_target_": "torch.optim.SGD"}),
            ConfigError,
            "a state's config may name only",
        ),
        (
            deploy(model={"_target_": "my_models.Net"}),
            ConfigError,
            "if you trust it: trust=['my_models']",
        ),
        (
            deploy(updater={"_target_": "subprocess.Popen"}),
            ConfigError,
            "a state's config may name only",
        ),
        (
            deploy(model={"hidden_sizes": [9]}),
            StateError,
            "tensor 'layers.1.weight' is [8, 64], this model's is",
        ),
        (tensors(b""), StateError, "'model.safetensors' of version 1 is no safetensors file"),
        (tensors(struct.pack("<Q", 1 << 60) + b"{}"), StateError, "is no safetensors file"),
        (
            tensors(struct.pack("<Q", len(HEADER)) + HEADER + b"1234"),
            StateError,
            "is no safetensors file",
        ),
        (tensors(struct.pack("<Q", 8) + b"not json"), StateError, "is no safetensors file"),
        (
            lambda files: files | {"model.json": b"{"},
            StateError,
            "'model.json' of version 1 is no JSON",
        ),
        (lambda files: files | {"model.json": b"[]"}, StateError, "'model.json' of version 1"),
    ],
)
def test_a_strangers_state(
    change: Any, kind: type[RenateError], text: str, made: Any, tmp_path: Path
) -> None:
    state = state_of(tmp_path, change(made))
    with pytest.raises(kind) as caught:
        renate.load_model(state.url)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_blob_is_named(damage: str, made: dict[str, bytes], tmp_path: Path) -> None:
    state = state_of(tmp_path, made)
    blob = state.manifest().files["model.safetensors"]
    path = Path(state.url, blob.key)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.unlink()
    if damage != "gone":
        path.write_bytes(data if damage == "flipped" else data[:-10])
    for look in (lambda: renate.load_model(state.url), lambda: state.verify()):
        with pytest.raises(StateError) as caught:
            look()
        assert blob.key in str(caught.value)
        assert "version 1" in str(caught.value)


def test_a_state_of_a_newer_format(made: dict[str, bytes], tmp_path: Path) -> None:
    state = state_of(tmp_path, made)
    path = Path(state.url, "versions", "00000001.json")
    content = json.loads(path.read_text()) | {"format": 99}
    path.chmod(0o644)
    path.unlink()
    path.write_text(json.dumps(content))
    with pytest.raises(StateError, match=r"99"):
        renate.load_model(state.url)


def test_nothing_is_unpickled(made: dict[str, bytes], tmp_path: Path) -> None:
    import pickle

    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    state = state_of(tmp_path, made | {"model.safetensors": pickle.dumps(Payload())})
    with pytest.raises(StateError, match="no safetensors file"):
        renate.load_model(state.url)
    assert not marker.exists()
