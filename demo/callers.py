"""The people of the demonstration, and the two programs with which they call the service: curl and the OpenStack
client.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrator import Narrator, Surprise
from programs import Ended, quoted, run

PATCH = "Content-Type: application/json-patch+json"
JSON = "Content-Type: application/json"
BINARY = "Content-Type: application/octet-stream"
LOCATION = "Content-Type: application/vnd+openstack.glare-custom-location+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got: its own exit status, the HTTP status, and the file that it saved the body in."""

    exit: int
    status: int
    body: Path

    def document(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Surprise: it is none.
        """
        text = self.body.read_text("utf-8", "replace")
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Surprise("the answer is a JSON object", "an object", text[:500])
        return document

    def message(self) -> str:
        """The sentence of an error."""
        return str(self.document().get("error", {}).get("message"))


@dataclass(frozen=True, slots=True)
class Programs:
    """What all callers share: `names` has the variable that is printed in place of an address or a token."""

    narrator: Narrator
    work: Path
    env: Mapping[str, str]
    openstack: Path
    glare: str
    names: dict[str, str]

    def run(self, *args: str) -> Ended:
        """Print a command, and run it in the working folder."""
        self.narrator.command(quoted(args, self.names))
        return run(args, self.work, self.env)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token of a project."""

    name: str
    project: str
    token: str
    programs: Programs

    def client(self, *words: str) -> Ended:
        """`openstack artifact …` of python-glareclient, whichever way it ends."""
        shared = self.programs
        shared.narrator.command(f"openstack $AS_{self.name.upper()} artifact {quoted(words, shared.names)}")
        access = ["--os-auth-type", "admin_token", "--os-token", self.token, "--os-endpoint", shared.glare]
        return run([str(shared.openstack), *access, "artifact", *words], shared.work, shared.env)

    def client_json(self, *words: str) -> Any:
        """What a command of the client prints as JSON.

        Raises:
            Surprise: the command failed, or printed something else.
        """
        ended = self.client(*words, "-f", "json")
        if ended.code != 0:
            raise Surprise("the client succeeds", "status 0", f"status {ended.code}: {ended.err.strip()}")
        try:
            return json.loads(ended.out)
        except ValueError:
            raise Surprise("the client prints JSON", "JSON", ended.out + ended.err) from None

    def client_fields(self, *words: str) -> dict[str, Any]:
        """The fields of the artifact that a command of the client prints as rows."""
        return {row["Field"]: row["Value"] for row in self.client_json(*words)}

    def client_done(self, *words: str) -> None:
        """A command of the client that has to succeed, and prints nothing of interest.

        Raises:
            Surprise: it failed.
        """
        ended = self.client(*words)
        self.programs.narrator.expect("exit status of the client", ended.code, 0)

    def client_refused(self, *words: str, status: str) -> None:
        """A command of the client that has to fail with an HTTP status.

        Raises:
            Surprise: it succeeded, or failed otherwise.
        """
        ended = self.client(*words)
        said = ended.err.strip() or ended.out.strip()
        self.programs.narrator.answer(said)
        self.programs.narrator.expect_that(
            f"the client is refused with {status}",
            ended.code != 0 and f"HTTP {status}" in said,
            f"{ended.code}: {said}",
        )

    def curl(self, path: str, *words: str, save: str = "answer.json") -> Answer:
        """Call a path of the service with curl, saving the body; whatever the answer is."""
        body = self.programs.work / save
        body.unlink(missing_ok=True)
        ended = self.programs.run(
            *("curl", "-sS", "-o", save, "-w", "%{http_code}", "-H", f"X-Auth-Token: {self.token}"),
            *words,
            self.programs.glare + path,
        )
        status = int(ended.out) if ended.out.isdigit() else 0
        self.programs.narrator.answer(f"HTTP {status}" + (f"; {ended.err.strip()}" if ended.err.strip() else ""))
        return Answer(ended.code, status, body)

    def get(self, path: str) -> dict[str, Any]:
        """A JSON document of the service.

        Raises:
            Surprise: the answer is not 200.
        """
        return self._document(self.curl(path), 200)

    def quietly(self, path: str) -> dict[str, Any]:
        """A JSON document of the service, of which nothing is printed: for asking again and again.

        Raises:
            Surprise: there is none.
        """
        token = {"X-Auth-Token": self.token}
        request = urllib.request.Request(self.programs.glare + path, headers=token)  # noqa: S310 - the service's own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                document: dict[str, Any] = json.load(answer)
        except OSError as error:
            raise Surprise(f"GET {path}", "an answer", error) from None
        return document

    def post(self, path: str, body: object) -> dict[str, Any]:
        """What was created."""
        return self._document(self.curl(path, "-H", JSON, "-d", json.dumps(body)), 201)

    def put_location(self, path: str, location: Mapping[str, object]) -> Answer:
        """Ask for an external location to be recorded."""
        return self.curl(path, "-X", "PUT", "-H", LOCATION, "-d", json.dumps(location))

    def refused(self, answer: Answer, status: int) -> None:
        """Go on only if an answer is a refusal with this status; print the sentence that says why.

        Raises:
            Surprise: it is something else.
        """
        self.programs.narrator.expect("HTTP status", answer.status, status)
        self.programs.narrator.answer(answer.message())

    def _document(self, answer: Answer, status: int) -> dict[str, Any]:
        if answer.status != status:
            raise Surprise("HTTP status", status, f"{answer.status}: {answer.body.read_text('utf-8', 'replace')[:500]}")
        return answer.document()
