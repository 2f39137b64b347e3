"""Hugging Face's Hub."""

import re
import tempfile
from pathlib import Path
from typing import Any

from renate.checks.arguments import shown
from renate.errors import ConfigError, nearest
from renate.export.formats import FORMATS
from renate.export.registries.base import Published, Registry
from renate.extras import load

WHO = "publish=huggingface"
MANIFEST = "manifest "  # and its SHA-256: what a commit says of the version that it brought
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class HuggingFace(Registry):
    """A repository of models: weights, signature and card of a version, which a tag names.

    Args:
        repo: owner/name.
        private: Whether it is made as one that only its owner sees.
        format: What is uploaded, see `renate export`.
    """

    def __init__(self, repo: str, private: bool, format: str) -> None:
        load("huggingface_hub", "hf", WHO)
        if REPOSITORY.fullmatch(str(repo)) is None:
            raise ConfigError(f"publish.repo={repo}: expected owner/name")
        # To the Hub null is a repository that everybody sees
        if not isinstance(private, bool):
            raise ConfigError(f"publish.private={shown(private)}: expected true or false")
        if format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ConfigError(
                f"publish.format={format}: expected {known}{nearest(str(format), FORMATS)}"
            )

        self.repo = repo
        self.private = private
        self.format = format

    def register(self, published: Published) -> str:
        """Upload the version's files in one commit, and tag it; what is there already makes no
        other commit.
        """
        api = load("huggingface_hub", "hf", WHO).HfApi()
        made = api.create_repo(self.repo, private=self.private, exist_ok=True)
        self._check_is_free(api, published)
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "version"
            published.export(self.format, files)
            (files / "README.md").write_text(_front_matter() + published.card)
            commit = api.upload_folder(
                repo_id=self.repo,
                folder_path=files,
                commit_message=f"version {published.version}",
                commit_description=f"{MANIFEST}{published.manifest.sha256}",
                delete_patterns="*",
            )

        for tag in [f"v{published.version}", *published.aliases]:
            if tag != f"v{published.version}":
                self._forget(api, tag)
            api.create_tag(self.repo, tag=tag, revision=commit.oid, exist_ok=True)

        return f"{made}/tree/v{published.version}"

    def _check_is_free(self, api: Any, published: Published) -> None:
        """Return if the version's tag isn't there, or names this very version.

        Raises:
            ConfigError: It names the version of another state: the page would show that model.
        """
        tag = f"v{published.version}"
        if tag not in self._tags(api):
            return

        said = api.list_repo_commits(self.repo, revision=tag)[0].message
        if said.startswith(MANIFEST) and said != f"{MANIFEST}{published.manifest.sha256}":
            raise ConfigError(
                f"publish.repo={self.repo}: its {tag} is a version of another state "
                f"({said.strip()}): give this state a repository of its own"
            )

    def _tags(self, api: Any) -> set[str]:
        return {each.name for each in api.list_repo_refs(self.repo).tags}

    def _forget(self, api: Any, tag: str) -> None:
        """Take an alias's tag away, which may name an earlier version: a tag can't be moved."""
        if tag in self._tags(api):
            api.delete_tag(self.repo, tag=tag)


def _front_matter() -> str:
    return "---\nlibrary_name: renate\ntags: [continual-learning]\n---\n\n"
