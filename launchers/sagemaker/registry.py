"""SageMaker's registry of models."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renate.errors import ConfigError
from renate.export.registries.base import Published, Registry
from renate.extras import load
from renate.state.store import open_store

from .failures import explained
from .service import Service

WHO = "publish=sagemaker_registry"
ARCHIVE = "model.tar.gz"
APPROVALS = ("PendingManualApproval", "Approved")
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
KEY = "renate-manifest"  # in a package's metadata
LONGEST = 1024  # characters of a description


class ModelRegistry(Registry):
    """A group of model packages, each version of a state one of them.

    Args:
        group: Its name.
        archives: Where model.tar.gz of each version goes: a URL of S3.
        image: URI of the container that serves it.
        approval: `PendingManualApproval` or `Approved`.
        instance_types: On which it may be served.
        region: None is that of the profile or of the environment.
    """

    def __init__(
        self,
        group: str,
        archives: str,
        image: str,
        approval: str,
        instance_types: Sequence[str],
        region: str | None,
    ) -> None:
        load("boto3", "sagemaker", WHO)
        if NAME.fullmatch(str(group)) is None:
            raise ConfigError(
                f"publish.group={group}: expected at most 63 letters, digits and single hyphens"
            )
        if not str(archives).startswith("s3://"):
            raise ConfigError(f"publish.archives={archives}: expected s3://bucket/folder")
        if approval not in APPROVALS:
            raise ConfigError(f"publish.approval={approval}: expected {' or '.join(APPROVALS)}")

        self.group = group
        self.archives = archives.rstrip("/")
        self.image = image
        self.approval = approval
        self.instance_types = list(instance_types)
        self.service = Service(region)

    def register(self, published: Published) -> str:
        """Upload the archive once, and register it as a package with aliases and card."""
        client = self.service.session.client("sagemaker")
        with explained():
            self._make_group(client)
            arn = self._known(client, published.manifest.sha256)
            if arn is None:
                return self._made(client, published)
            metadata = self._metadata(published)
            client.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties=metadata)
        return arn

    def _make_group(self, client: Any) -> None:
        listed = client.get_paginator("list_model_package_groups").paginate(NameContains=self.group)
        groups = [each for page in listed for each in page["ModelPackageGroupSummaryList"]]
        names = {each["ModelPackageGroupName"] for each in groups}
        if self.group not in names:
            client.create_model_package_group(
                ModelPackageGroupName=self.group,
                ModelPackageGroupDescription="versions of a model that renate keeps up to date",
            )

    def _known(self, client: Any, sha256: str) -> str | None:
        listed = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group
        )
        for page in listed:
            for package in page["ModelPackageSummaryList"]:
                arn = str(package["ModelPackageArn"])
                found = client.describe_model_package(ModelPackageName=arn)
                if found.get("CustomerMetadataProperties", {}).get(KEY) == sha256:
                    return arn
        return None

    def _metadata(self, published: Published) -> dict[str, str]:
        return {
            KEY: published.manifest.sha256,
            "renate-version": str(published.version),
            "renate-aliases": " ".join(published.aliases) or "none",
        }

    def _made(self, client: Any, published: Published) -> str:
        url = self._uploaded(published)
        kinds = ["application/json", "text/csv"]
        made = client.create_model_package(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=published.card[:LONGEST],
            InferenceSpecification={
                "Containers": [{"Image": self.image, "ModelDataUrl": url}],
                "SupportedContentTypes": [*kinds, "application/x-npy"],
                "SupportedResponseMIMETypes": kinds,
                "SupportedRealtimeInferenceInstanceTypes": self.instance_types,
                "SupportedTransformInstanceTypes": self.instance_types,
            },
            ModelApprovalStatus=self.approval,
            CustomerMetadataProperties=self._metadata(published),
        )
        return str(made["ModelPackageArn"])

    def _uploaded(self, published: Published) -> str:
        """Upload the archive, named by what it is, so that it is never another version's."""
        place = f"{self.archives}/{published.manifest.sha256}"
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "export"
            published.export("sagemaker", made)
            content = (made / ARCHIVE).read_bytes()
            open_store(place).replace(ARCHIVE, content)
        return f"{place}/{ARCHIVE}"
