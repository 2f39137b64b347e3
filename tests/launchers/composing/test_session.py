"""Hydra's global state is nobody's way to hand something over; a backend's file names its
launcher.
"""

from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from renate.errors import ConfigError
from renate.launchers.composing.session import opened


def test_composing_leaves_nothing_in_hydras_singleton(workdir: Path) -> None:
    with opened([]) as (launcher, _, _):
        before = HydraConfig.instance().cfg
        job, settings = launcher.composer.compose_for_hydra(3, ["seed=${hydra:job.num}"])
        assert HydraConfig.instance().cfg is before
    assert job.config.seed == 3
    assert settings.hydra.job.num == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "workers: 1",
            "backend=mine: its file names no launcher: expected _target_: package.module.Class",
        ),
        (
            "{_target_: my_backend.Launcher, workers: 1}",
            "backend._target_=my_backend.Launcher: expected a subclass of HydraLauncher or "
            "RemoteLauncher",
        ),
        (
            "{_target_: no_such.Launcher, workers: 1}",
            "backend._target_=no_such.Launcher: there is no module 'no_such'",
        ),
    ],
)
def test_a_backend_names_its_launcher(content: str, said: str, workdir: Path) -> None:
    (workdir / "conf/backend").mkdir(parents=True)
    (workdir / "conf/backend/mine.yaml").write_text(content)
    (workdir / "my_backend.py").write_text("class Launcher: ...\n")
    with pytest.raises(ConfigError, match=said), opened(["backend=mine"]):
        pass
