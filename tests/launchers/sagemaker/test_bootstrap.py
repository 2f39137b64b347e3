"""The container's entry: what it installs, and what it never touches."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from renate.launchers.sagemaker import bootstrap, image
from tests.conftest import ROOT

TAGS = [f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 26, 27, 28, 31, 34)]


def having(monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    """An image with these packages and no others."""
    monkeypatch.setattr(bootstrap, "version_of", lambda name: packages.get(name.replace("-", "_")))


def test_what_the_image_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bootstrap.lacking() == [], "the tests' own environment has everything"
    having(
        monkeypatch,
        torch="2.10.0+cu128",
        numpy="1.20",
        pytorch_lightning="2.5.1",
        torchvision="0.25.0+cu128",
    )
    lacking = bootstrap.lacking()
    assert "numpy>=1.26" in lacking
    assert "obstore<1,>=0.9" in lacking
    assert not any(
        line.startswith(("torch>", "torch=", "pytorch-lightning", "boto3", "sagemaker"))
        for line in lacking
    )
    assert bootstrap.constraints() == ["torch==2.10.0", "torchvision==0.25.0"]
    having(monkeypatch, torch="2.5.1+cu124")
    with pytest.raises(
        bootstrap.SetupError,
        match=r"the image has torch 2.5.1\+cu124, renate needs torch>=2.6: backend",
    ):
        bootstrap.lacking()


def test_the_image_is_the_newest_that_is_not_above_the_installed_torch() -> None:
    versions = ["2.6.0", "2.10.0", "2.9.0", "2.7.1"]
    assert image.newest(versions, "2.13.0+cpu") == "2.10.0"
    assert image.newest(versions, "2.9.1") == "2.9.0"
    assert image.newest(versions, "2.7.0") == "2.7.1"
    assert image.newest(versions, "2.5.1") is None


@pytest.mark.slow
def test_what_is_installed_resolves_beside_the_newest_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its Python, by metadata alone; its torch is there already, so a wheel without content
    stands for it.
    """
    uris = pytest.importorskip("sagemaker.core.image_uris")
    table = uris.config_for_framework("pytorch")["training"]["versions"]
    torch = image.newest(list(table), "99.0")
    assert torch is not None
    having(monkeypatch, torch=f"{torch}+image")
    wanted = tmp_path / "wanted.txt"
    wheels = tmp_path / "wheels"
    wanted.write_text("\n".join(bootstrap.lacking()))
    (tmp_path / "keep.txt").write_text("\n".join(bootstrap.constraints()))
    wheels.mkdir()
    with zipfile.ZipFile(wheels / f"torch-{torch}+image-py3-none-any.whl", "w") as wheel:
        about = f"torch-{torch}+image.dist-info"
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {torch}+image\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # Hydra's parser has no wheel, which pip wants for another Python than its own.
    antlr = [*pip, "wheel", "-q", "--no-deps", "-w", str(wheels), "antlr4-python3-runtime==4.9.3"]
    if subprocess.run(antlr, capture_output=True).returncode:
        pytest.skip("no package index")
    platforms = [word for tag in TAGS for word in ("--platform", tag)]
    for python in table[torch]["py_versions"]:
        report = tmp_path / f"{python}.json"
        target = [
            "--python-version",
            f"3.{python.removeprefix('py3')}",
            "--implementation",
            "cp",
            *platforms,
        ]
        there = [
            "--only-binary=:all:",
            "--target",
            str(tmp_path / python),
            "--find-links",
            str(wheels),
        ]
        files = ["-c", str(tmp_path / "keep.txt"), "-r", str(wanted), "--report", str(report)]
        done = subprocess.run(
            [*pip, "install", "-q", "--dry-run", *target, *there, *files, "torch"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        chosen = {
            item["metadata"]["name"]: item["metadata"]["version"]
            for item in json.loads(report.read_text())["install"]
        }
        assert chosen["torch"] == f"{torch}+image"
        assert "obstore" in chosen


@pytest.mark.by_hand  # eight minutes of pip's, for a change in constraints.txt or in the SDK
def test_the_meta_package_resolves_beside_what_is_tested(tmp_path: Path) -> None:
    """By pip's own report; nothing is installed."""
    report = tmp_path / "report.json"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--dry-run"]
    wanted = [
        "-c",
        str(ROOT / "constraints.txt"),
        "torch",
        "sagemaker>=3",
        "-e",
        f"{ROOT}[sagemaker]",
    ]
    done = subprocess.run([*pip, "--report", str(report), *wanted], capture_output=True, text=True)
    if "No matching distribution found for sagemaker" in done.stderr:
        pytest.skip("no package index")
    assert done.returncode == 0, done.stderr
    found = {
        item["metadata"]["name"]: item["metadata"]["version"]
        for item in json.loads(report.read_text())["install"]
    }
    assert int(found["sagemaker"].split(".")[0]) >= 3
    assert not {"torch", "hydra-core", "omegaconf", "sagemaker-core", "boto3"} & found.keys(), (
        "these stay as they are"
    )
