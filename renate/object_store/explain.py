"""What an object store's refusal means and what to do, in one line."""

import re
from urllib.parse import urlsplit

from renate.object_store.credentials import MISSING, NoAccessError, region

ACTIONS = {
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "write": "s3:PutObject",
    "create": "s3:PutObject",
    "delete": "s3:DeleteObject",
    "copy": "s3:PutObject",
}
EXPIRED = "AWS credentials expired; log in and rerun, it continues"
ELSEWHERE = "bucket {bucket} is in {expected}, not in {region}: set AWS_DEFAULT_REGION"
TEXTS = {  # by the code of S3's answer
    "NoSuchBucket": "no bucket {bucket} in region {region}: check the URL and AWS_DEFAULT_REGION",
    "AccessDenied": "may not {action} on {name}{message}",
    "InvalidAccessKeyId": "AWS knows no such access key: check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": (
        "not the secret of this access key: check AWS_SECRET_ACCESS_KEY or the profile"
    ),
    "InvalidToken": (
        "not a session token of this access key: check AWS_SESSION_TOKEN or the profile"
    ),
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and rerun, it continues",
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "AuthorizationHeaderMalformed": ELSEWHERE,
    "PermanentRedirect": ELSEWHERE,
}
# Of boto3, when it is asked to renew what it gave: a login is over, or was never there.
LOGIN_OVER = re.compile(
    r"SSOTokenLoadError|UnauthorizedSSOTokenError|TokenRetrievalError|LoginRefresh|ExpiredToken"
)
ANSWER = re.compile(r"<Code>(\w+)</Code>")
MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)
OTHER_REGION = re.compile(r"expecting '([\w-]+)'")
HOST = re.compile(r"performing [A-Z]+ (https?://[^/\s]+)")
RETRIED = re.compile(r"after (\d+) retries")
PROVIDER = re.compile(r"External AWS credential provider: (\w+): (.*)")


def code(error: Exception) -> str:
    """Return the code of S3's answer, nothing where there is none."""
    text = str(error)
    if found := ANSWER.search(text):
        return found[1]
    if "redirect without LOCATION" in text:
        return "PermanentRedirect"
    return "AccessDenied" if "403 Forbidden" in text else ""  # an answer to HEAD has no body


def is_expired(error: Exception) -> bool:
    """Whether credentials that were good have ended: others may be there by now."""
    return TEXTS.get(code(error)) == EXPIRED


def is_broken_off(error: Exception) -> bool:
    """Whether obstore gave up on a request without trying again, so that nobody knows if it was
    carried out.
    """
    text = str(error)
    unknown = "kind: Timeout" in text or "kind: Interrupted" in text or "<Code>NoSuchUpload" in text
    return unknown and not RETRIED.search(text)


def explain(error: Exception, url: str, verb: str, key: str) -> str:
    """Return why a request failed, as the end of a line that begins with the URL.

    Args:
        error: obstore's, or NoAccessError.
        url: Of the store.
        verb: read, list, write, create, copy or delete.
        key: Below the URL.
    """
    text = str(error)
    first = (text.splitlines() or [type(error).__name__])[0]
    if isinstance(error, NoAccessError):
        return first
    if asked := PROVIDER.search(first):
        kind, reason = asked.groups()
        if kind == "NoCredentialsError":
            return MISSING
        if LOGIN_OVER.search(f"{kind} {reason}"):
            return EXPIRED
        return f"no AWS credentials: {reason}"

    if url.startswith("s3://") and (known := TEXTS.get(code(error))):
        return known.format(**_facts(text, url, verb, key))

    return _transport(text) or _unknown(first, verb, key)


def _facts(text: str, url: str, verb: str, key: str) -> dict[str, str]:
    parts = urlsplit(url)
    said = MESSAGE.search(text)
    other = OTHER_REGION.search(text)
    name = "/".join(filter(None, (parts.netloc, parts.path.strip("/"), key)))
    if said is None or said[1].strip() in ("", "Access Denied"):
        more = ""
    else:
        more = f": {' '.join(said[1].split())}"

    return {
        "bucket": parts.netloc,
        "region": region(),
        "expected": other[1] if other else "another region",
        "action": ACTIONS[verb],
        "name": name,
        "message": more,
    }


def _transport(text: str) -> str | None:
    """What went wrong on the way; None where the store answered something else."""
    first = text.splitlines()[0] if text else ""
    host = HOST.search(text)
    tries = RETRIED.search(text)
    where = host[1] if host else "the store"
    often = ""
    if tries:
        often = f" after {tries[1]} retries"

    if "kind: Timeout" in text:
        return f"{where} didn't answer in time{often}: rerun, it continues"
    if "kind: Connect" in text:
        return (
            f"no connection to {where}{often}: check the network and AWS_ENDPOINT_URL, rerun, it "
            "continues"
        )
    if status := re.search(r"status code: (5\d\d [\w ]+)", first):
        return f"{where} answered {status[1].strip()}{often}: rerun later, it continues"
    if "HTTP error" in first:
        return f"the connection to {where} broke{often}: rerun, it continues"

    return None


def _unknown(first: str, verb: str, key: str) -> str:
    reason = first.split(" - ", 1)[-1][:300]
    return f"can't {verb} {key}: {reason}; check the URL, the credentials and the region"
