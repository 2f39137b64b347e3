"""The documentation as a site: built without a warning, searched, and read without a network."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

EXTERNAL = re.compile(
    r"""(?:<script[^>]*\bsrc|<link[^>]*rel="stylesheet"[^>]*\bhref|<img[^>]*\bsrc)="(https?:[^"]*)"""
)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("pip install 'renate-cl[docs]'")

    laid = [sys.executable, "docs/site.py"]
    subprocess.run(laid, cwd=ROOT, check=True)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING  -" not in done.stderr
    assert "WARNING -" not in done.stderr

    site = tmp_path / "site"
    for page in site.rglob("*.html"):
        assert not EXTERNAL.findall(page.read_text()), page

    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {each["location"] for each in found}
    assert {"tutorial.html", "how_to/export.html", "configuration.html"} <= places
    assert "python.html#renate.jobs.saved.deploy.load_model" in places
    reference = (site / "python.html").read_text()
    for text in ("Load a version for inference", "loss", "ConfigError"):
        assert text in reference


def test_every_page_has_its_place() -> None:
    """Also where what builds the site isn't installed."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages = module.laid_out()
    navigation = (ROOT / "mkdocs.yml").read_text()
    for file, page in pages.items():
        assert page.parts[0] == "results" or f": {page}\n" in navigation, file
        module.linked((ROOT / file).read_text(), file, pages)  # raises where a link leads nowhere
