"""Hugging Face's Hub at the border of HTTP: repositories, commits and tags in memory."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

MODEL = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?P<rest>/.*)?")


@dataclass
class FakeHub:
    """Answers requests as the Hub does, as far as an upload asks.

    Attributes:
        files: Of the one repository: path -> content.
        tags: Name -> commit.
        commits: Their numbers, as texts.
        messages: What each says besides its title.
        refuses: Whether each request is refused.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    exists: bool = False
    refuses: bool = False

    def __call__(self, request: Any) -> Any:
        """Return the answer to a request of httpx."""
        import httpx2

        status, content = self._answer(request)
        return httpx2.Response(status, json=content, request=request)

    def _answer(self, request: Any) -> tuple[int, Any]:
        path = request.url.path
        if self.refuses:
            return 403, {"error": "Forbidden: this token may only read"}
        if path == "/api/repos/create":
            before = self.exists
            self.exists = True
            return (409 if before else 200), {"url": "https://huggingface.co/me/digits"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}

        found = MODEL.fullmatch(path)
        assert found is not None, path
        rest = found["rest"] or ""
        body = request.content.decode()
        if rest.startswith("/preupload/"):
            return 200, {"files": [self._file(each) for each in json.loads(body)["files"]]}
        if rest.startswith("/commit/"):
            return 200, self._commit([json.loads(line) for line in body.splitlines()])
        if rest.startswith("/tree/"):
            listed = [
                {"type": "file", "path": name, "size": len(raw), "oid": _oid(raw)}
                for name, raw in self.files.items()
            ]
            return 200, listed
        if rest == "/refs":
            tags = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit}
                for name, commit in self.tags.items()
            ]
            return 200, {"branches": [], "converts": [], "tags": tags}
        if rest.startswith("/commits/"):
            commit = self.tags[rest.removeprefix("/commits/")]
            return 200, [self._told(commit)]
        if rest.startswith("/tag/"):
            return self._tag(request.method, rest.removeprefix("/tag/"), body)

        names = [{"rfilename": name} for name in self.files]
        head = self.commits[-1] if self.commits else "0" * 40
        return 200, {"id": found["repo"], "sha": head, "siblings": names, "private": True}

    def _file(self, asked: dict[str, Any]) -> dict[str, Any]:
        raw = self.files.get(asked["path"])
        known = {} if raw is None else {"oid": _oid(raw)}
        return {"path": asked["path"], "uploadMode": "regular", "shouldIgnore": False, **known}

    def _commit(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines:
            if line["key"] == "file":
                value = line["value"]
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.files[line["value"]["path"]]

        number = f"{len(self.commits) + 1:040d}"
        self.commits.append(number)
        header = next(line["value"] for line in lines if line["key"] == "header")
        self.messages[number] = header["description"]
        return {
            "commitUrl": f"https://huggingface.co/me/digits/commit/{number}",
            "commitOid": number,
            "success": True,
        }

    def _told(self, commit: str) -> dict[str, Any]:
        found = {"id": commit, "authors": [], "date": "2026-01-01T00:00:00.000Z"}
        return found | {"title": "", "message": self.messages[commit]}

    def _tag(self, method: str, name: str, body: str) -> tuple[int, Any]:
        if method == "DELETE":
            del self.tags[name]
            return 200, {}
        tag = json.loads(body)["tag"]
        if tag in self.tags:
            return 409, {"error": "Tag reference exists already"}
        self.tags[tag] = name
        return 200, {}


def _oid(raw: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
