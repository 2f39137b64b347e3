"""A job's own files, which lie beside each other in its channel."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from renate.errors import ConfigError
from renate.launchers.remote.job_folder import JobFolder
from renate.launchers.remote.job_upload import JobUpload
from renate.launchers.remote.machine import Machine


@pytest.fixture
def upload(tmp_path: Path) -> JobUpload:
    """Of a machine whose jobs begin with a file of their own."""
    machine = Machine("toy", "../channel", "S3", "s3://", {"bootstrap.py": tmp_path / "entry"})
    return JobUpload(machine, JobFolder(str(tmp_path)), str(tmp_path), OmegaConf.create({}))


def test_a_file_travels_once(upload: JobUpload, tmp_path: Path) -> None:
    file = tmp_path / "my_config.py"
    file.write_text("here")
    upload.add_file("config_file.path", file)
    upload.add_file("config_file.path", file)
    assert upload.channel == {"my_config.py": b"here"}


@pytest.mark.parametrize("name", ["bootstrap.py", "my_config.py"])
def test_another_of_its_name_is_refused(name: str, upload: JobUpload, tmp_path: Path) -> None:
    """One of them would be read in the place of the other."""
    upload.channel["my_config.py"] = b"another"
    (tmp_path / name).write_text("here")
    with pytest.raises(ConfigError, match=f"another file of the name {name} lies beside it"):
        upload.add_file("config_file.path", tmp_path / name)
