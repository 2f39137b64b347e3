"""Who we are for S3: keys in the environment as they are, everything else through boto3's chain."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from renate.errors import nearest

# boto3 renews credentials 10 minutes before their end, so what it gives is good for as long;
# obstore asks again when less than 5 minutes of this are left.
TTL = timedelta(minutes=10)
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
# What obstore can read by itself where boto3 isn't installed, as in a container.
WITHOUT_BOTO3 = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
MISSING = (
    "no AWS credentials: log in (aws sso login, aws configure), set AWS_PROFILE, "
    "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
DEFAULT_REGION = "us-east-1"  # obstore's


class NoAccessError(Exception):
    """A store can't be opened; the message is the reason, in one line."""


def options() -> dict[str, Any]:
    """Return what `from_url` needs besides the environment: config (region, endpoint) and
    credential_provider.

    Raises:
        NoAccessError: No credentials, no such profile, or boto3 is needed and missing.
    """
    keys = all(map(os.environ.get, KEYS)) or os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in (
        "true",
        "1",
    )
    if keys and (_first(REGION) or not _files()):
        return {}

    try:
        import boto3  # lazy: an extra, and a third of a second
        import botocore.exceptions
    except ImportError:
        if keys or _first(WITHOUT_BOTO3):
            return {}
        raise NoAccessError(f"{_wanted()} needs boto3: pip install 'renate-cl[s3]'") from None

    try:
        session = boto3.Session()
        given = {"config": _place(session)}
        if keys:
            return given
        return given | {"credential_provider": _provider(session)}
    except botocore.exceptions.ProfileNotFound as error:
        raise NoAccessError(_no_profile()) from error
    except botocore.exceptions.BotoCoreError as error:
        raise NoAccessError(" ".join(str(error).split())) from error


def endpoint_of(given: dict[str, Any]) -> str:
    """Return the endpoint that a store opened with these options uses; nothing for AWS's own."""
    return _first(ENDPOINT) or given.get("config", {}).get("endpoint", "")


def region() -> str:
    """Return the region that requests go to, as far as this machine knows."""
    if found := _first(REGION):
        return found

    try:
        import boto3
    except ImportError:
        return DEFAULT_REGION

    return boto3.Session().region_name or DEFAULT_REGION


def _first(names: tuple[str, ...]) -> str:
    return next(filter(None, map(os.environ.get, names)), "")


def _files() -> list[str]:
    """The files of profiles that there are."""
    named = [os.environ.get(name, default) for name, default in FILES.items()]
    return [name for name in named if Path(name).expanduser().is_file()]


def _wanted() -> str:
    if profile := os.environ.get("AWS_PROFILE"):
        return f"AWS_PROFILE={profile}"
    if _files():
        return f"{_files()[0]}"
    return "no AWS keys in the environment: looking for others"


def _place(session: Any) -> dict[str, str]:
    """Region and endpoint: of the environment, else of the profile."""
    from botocore.configprovider import ConfiguredEndpointProvider

    core = session._session  # boto3 shows its profile's settings nowhere else
    scoped = core.get_scoped_config()
    ignored = str(scoped.get("ignore_configured_endpoint_urls", "")).lower() == "true"
    of_profile = ConfiguredEndpointProvider(core.full_config, scoped, "s3")
    place = {
        "region": _first(REGION) or session.region_name,
        "endpoint": _first(ENDPOINT) or (None if ignored else of_profile.provide()),
    }

    return {name: value for name, value in place.items() if value}


def _provider(session: Any) -> Any:
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        provider = Boto3CredentialProvider(session, ttl=TTL)
    except ValueError as error:
        raise NoAccessError(MISSING) from error

    # The region is ours to choose: AWS_REGION, which boto3 doesn't read, comes first
    provider.config = {}
    return provider


def _no_profile() -> str:
    import botocore.session

    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE", "")
    names = sorted(botocore.session.Session().available_profiles)
    there = ": there is none"
    if names:
        there = f" ({', '.join(names)})"

    return f"AWS_PROFILE={name}: no such profile{nearest(name, names)}{there}"
