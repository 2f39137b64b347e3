"""Published versions in registries: once each, with aliases and card, whatever fails."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.errors import ConfigError, JobError
from renate.state.aliases.move import move_alias
from renate.state.versions import State
from tests.backends.conftest import moto, s3  # noqa: F401 (S3 and SageMaker on loopback)
from tests.backends.services.faults import Proxy
from tests.command import renate as command
from tests.export.fake_hub import FakeHub

QUICK = ["data.limit=64", "trainer.max_steps=2", "model.hidden_sizes=[4]", "state.url=s"]
FIRST = "state.first=true"


@pytest.mark.slow
def test_mlflow_has_each_version_once(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = "sqlite:///mlflow.db"
    mlflow = ["publish=mlflow", f"publish.tracking_uri={tracking}", "publish.name=digits"]
    said = command(*QUICK, FIRST, *mlflow, cwd=workdir).stdout
    assert "registered  models:/digits/1" in said
    command(*QUICK, "seed=1", *mlflow, cwd=workdir)

    client = pytest.importorskip("mlflow").MlflowClient(tracking_uri=tracking)
    found = {v.version: v for v in client.search_model_versions("name = 'digits'")}
    assert {str(number) for number in found} == {"1", "2"}
    manifest = State("s").manifest(2)
    second = client.get_model_version_by_alias("digits", "current")
    assert second.tags == {"renate.manifest": manifest.sha256, "renate.version": "2"}
    assert "# Version 2" in second.description
    assert "| test | accuracy |" in second.description

    # An alias that moved, and the same version again
    move_alias(State("s"), "eu", 1)
    again = command("export", "s", "--version", "1", *mlflow, cwd=workdir).stdout
    assert again == "registered  models:/digits/1\n"
    assert len(client.search_model_versions("name = 'digits'")) == 2
    assert str(client.get_model_version_by_alias("digits", "eu").version) == "1"

    import mlflow.pyfunc

    # Not set_tracking_uri: it writes to the environment of whatever runs next here
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    loaded = mlflow.pyfunc.load_model("models:/digits@current")
    model = renate.load_model("s", 2)
    pixels = [[[[100] * 8] * 8]] * 3
    assert [row["prediction"] for row in loaded.predict(pixels)] == [
        model.predict(model.feed.read(__import__("numpy").array(pixels, "uint8")))[0]
    ] * 3


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    package = pytest.importorskip("huggingface_hub")
    httpx = pytest.importorskip("httpx2")
    fake = FakeHub()
    monkeypatch.setenv("HF_TOKEN", "hf_testing")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    package.set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(fake)))
    yield fake
    from huggingface_hub.utils._http import default_client_factory

    package.set_client_factory(default_client_factory)


@pytest.mark.slow
def test_hugging_face_has_a_tag_for_each_version(workdir: Path, hub: FakeHub) -> None:
    publish = ["publish=huggingface", "publish.repo=me/digits"]
    said = command(*QUICK, FIRST, *publish, cwd=workdir).stdout
    assert "registered  https://huggingface.co/me/digits/tree/v1" in said
    assert set(hub.files) == {"README.md", "model.json", "model.safetensors", "signature.json"}
    assert hub.files["README.md"].startswith(b"---\nlibrary_name: renate\n")
    assert json.loads(hub.files["signature.json"])["labels"] == list(range(10))
    assert hub.tags == {"v1": hub.commits[0], "current": hub.commits[0]}

    command("export", "s", *publish, cwd=workdir)
    assert len(hub.commits) == 1, "nothing has changed"
    command(*QUICK, "seed=1", *publish, cwd=workdir)
    assert hub.tags == {"v1": hub.commits[0], "v2": hub.commits[1], "current": hub.commits[1]}


@pytest.mark.slow
def test_a_version_of_another_state_does_not_pass_for_it(workdir: Path, hub: FakeHub) -> None:
    publish = ["publish=huggingface", "publish.repo=me/digits"]
    command(*QUICK, FIRST, *publish, cwd=workdir)
    files = dict(hub.files)
    refused = command(*QUICK, "state.url=t", FIRST, "seed=1", *publish, cwd=workdir, code=1)
    assert "publish.repo=me/digits: its v1 is a version of another state" in refused.stderr
    assert State("t").versions() == [1], "it stays published"
    assert hub.files == files
    assert hub.tags == {"v1": hub.commits[0], "current": hub.commits[0]}


@pytest.mark.slow
def test_what_cannot_be_registered_stays_published(workdir: Path, hub: FakeHub) -> None:
    hub.refuses = True
    publish = ["publish=huggingface", "publish.repo=me/digits"]
    refused = command(*QUICK, FIRST, *publish, cwd=workdir, code=1)
    assert "version     1 of " in refused.stdout
    said = refused.stderr.splitlines()[-1]
    assert "version 1 of" in said
    assert "is published, but isn't registered" in said
    assert "403" in said
    assert State("s").versions() == [1]

    hub.refuses = False
    again = command(*QUICK, FIRST, *publish, cwd=workdir).stdout
    assert "already published as version 1" in again
    assert "registered  https://huggingface.co/me/digits/tree/v1" in again
    assert State("s").versions() == [1]


@pytest.mark.slow
def test_sagemaker_has_a_package_for_each_version(s3: Proxy, workdir: Path) -> None:  # noqa: F811
    publish = [
        "publish=sagemaker_registry",
        "publish.group=digits",
        "publish.archives=s3://renate-demo/models",
        "publish.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6",
    ]
    said = command(*QUICK, FIRST, *publish, cwd=workdir).stdout
    assert "registered  arn:aws:sagemaker:" in said
    import boto3

    client = boto3.client("sagemaker")
    (package,) = client.list_model_packages(ModelPackageGroupName="digits")[
        "ModelPackageSummaryList"
    ]
    found = client.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    assert found["ModelApprovalStatus"] == "PendingManualApproval"
    assert found["CustomerMetadataProperties"]["renate-aliases"] == "current"

    move_alias(State("s"), "eu", 1)
    command("export", "s", *publish, cwd=workdir)
    (again,) = client.list_model_packages(ModelPackageGroupName="digits")["ModelPackageSummaryList"]
    assert again["ModelPackageArn"] == package["ModelPackageArn"], "one, however often"
    told = client.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    assert told["CustomerMetadataProperties"]["renate-aliases"] == "current eu"
    (container,) = found["InferenceSpecification"]["Containers"]
    bucket, key = container["ModelDataUrl"].removeprefix("s3://").split("/", 1)
    boto3.client("s3").download_file(bucket, key, "model.tar.gz")
    with tarfile.open("model.tar.gz") as archive:
        assert "code/inference.py" in archive.getnames()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["publish=mlflow"], r"publish\.name"),
        (
            ["publish=huggingface", "publish.repo=digits"],
            "publish.repo=digits: expected owner/name",
        ),
        (
            ["publish=huggingface", "publish.repo=me/digits", "publish.private=null"],
            "publish.private=null: expected true or false",
        ),
        (
            [
                "publish=sagemaker_registry",
                "publish.group=a b",
                "publish.archives=s3://b",
                "publish.image=i",
            ],
            "publish.group=a b: expected at most 63 letters",
        ),
    ],
)
def test_what_cannot_be_is_told_before_training(
    workdir: Path, lines: list[str], message: str
) -> None:
    refused = command(*QUICK, FIRST, *lines, cwd=workdir, code=1)
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(refused.stderr)
    assert State("s").versions() == []
    refused = command("export", "s", *lines, cwd=workdir, code=1)
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(refused.stderr)


@pytest.mark.slow
def test_from_python(workdir: Path, hub: FakeHub) -> None:
    hub.refuses = True
    publish: dict[str, Any] = {"publish": "huggingface", "publish.repo": "me/digits"}
    asked = {"data.limit": 64, "trainer.max_steps": 2, "state.url": "s", "state.first": True}
    with pytest.raises(JobError, match="version 1 of .* is published, but isn't registered"):
        renate.run(asked | publish)
    with pytest.raises(ConfigError, match="publish: job=stream"):
        renate.run({"job": "stream", "scenario": "iid"} | publish)
