"""The code that goes along with a training job."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from renate.launchers.remote import code_archive
from renate.launchers.sagemaker.launcher import SageMakerLauncher


def test_modules_of_one_name_are_each_jobs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of a grid over config files in two folders; what is the same is packed once."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nets.py").write_text(name)

    def files_of(job: Any, sources: object, folders: object) -> code_archive.Files:
        return {"nets.py": tmp_path / job / "nets.py"}

    monkeypatch.setattr(code_archive, "of_job", files_of)
    launcher: Any = SageMakerLauncher.__new__(SageMakerLauncher)
    launcher.archives = {}
    launcher.config = SimpleNamespace(
        hydra=SimpleNamespace(runtime=SimpleNamespace(config_sources=[]))
    )
    launcher.backend = SimpleNamespace(source_dirs=[], max_code_mb=1)

    first = launcher._archive("a")
    assert launcher._archive("a") is first
    assert launcher._archive("b")[0] != first[0]
