"""Opens an object store, for states and data alike; the one home of its timeouts and retries."""

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from renate.object_store.credentials import NoAccessError, endpoint_of, options

# Of a whole request, its body too: a part of 8 MB, of which 16 may be under way, needs 1 MB/s in
# all. Each can be set in the environment, as AWS_TIMEOUT=30s.
CLIENT = {"timeout": "120s", "connect_timeout": "5s"}
# Of 5xx, of broken connections; AWS_MAX_ATTEMPTS, which boto3 reads too, counts the first try as
# well
RETRIES = 10
# Below 5: a request's credentials aren't renewed between its tries
RETRY_FOR = timedelta(minutes=3)
# Doubled each time, with jitter
FIRST_WAIT = timedelta(milliseconds=100)
LONGEST_WAIT = timedelta(seconds=15)
ENVIRONMENT = ("AWS_", "AZURE_", "GOOGLE_", "HOME")


def connect(url: str, *, renewed: bool = False) -> ObjectStore:
    """Open s3://bucket/path, gs://bucket/path or az://container/path; contacts nothing but a source
    of credentials.

    Args:
        url: Where keys begin.
        renewed: Read the credentials anew: the user may have logged in again.

    Raises:
        NoAccessError: There are no credentials, or the environment contradicts itself.
    """
    if renewed:
        _connected.cache_clear()
    # Warm workers take the environment of job after job.
    return _connected(
        url, tuple(sorted(item for item in os.environ.items() if item[0].startswith(ENVIRONMENT)))
    )


@lru_cache(maxsize=16)
def _connected(url: str, environment: tuple[tuple[str, str], ...]) -> ObjectStore:
    given: dict[str, Any] = options() if url.startswith("s3://") else {}
    client: dict[str, Any] = {
        name: os.environ.get(f"AWS_{name.upper()}", value) for name, value in CLIENT.items()
    }
    if _plain(endpoint_of(given)):
        client["allow_http"] = True

    opened: Any = from_url  # its overloads name every setting of every service
    try:
        store: ObjectStore = opened(url, client_options=client, retry_config=_retries(), **given)
        return store
    except BaseError as error:
        reason = str(error).splitlines()[0]
        if "Account must be specified" in reason:
            reason = "no account: set AZURE_STORAGE_ACCOUNT_NAME"
        raise NoAccessError(reason) from error


def _plain(endpoint: str) -> bool:
    """Whether an endpoint without TLS is meant; who names one means it, unless AWS_ALLOW_HTTP
    says no.
    """
    if not endpoint.startswith("http://"):
        return False
    if os.environ.get("AWS_ALLOW_HTTP", "true").lower() in ("false", "0", "no", "off"):
        raise NoAccessError(
            f"AWS_ALLOW_HTTP=false, but the endpoint is {endpoint}: use https://, or take it away"
        )

    return True


def _retries() -> Any:
    attempts = os.environ.get("AWS_MAX_ATTEMPTS", str(RETRIES + 1))
    if not attempts.isdecimal() or int(attempts) < 1:
        raise NoAccessError(f"AWS_MAX_ATTEMPTS={attempts}: expected a number of 1 or more")
    backoff = {"init_backoff": FIRST_WAIT, "max_backoff": LONGEST_WAIT, "base": 2}
    return {"max_retries": int(attempts) - 1, "retry_timeout": RETRY_FOR, "backoff": backoff}
