"""A real Keystone on loopback: Fernet tokens, SQLite, freshly bootstrapped, gone with its folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from environments import TOOLS, Say
from keystone_environment import ADMIN_PASSWORD, CONFIG, KEYSTONE, TEMPLATE
from server_process import ServerProcess, free_ports

PATIENCE: Final = 60.0
"""Seconds that it may take to start, or to answer."""

REGION: Final = "RegionOne"
_NUMBERS = itertools.count(1)


class RefusedError(Exception):
    """Keystone's answer was an error of 4xx or 5xx: `status`, and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"Keystone answered {status}: {words}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a password, in the default domain."""

    id: str
    name: str
    password: str


class Keystone:
    """One Keystone, which runs from `__enter__` to `__exit__`; `stop` and `start` end it and start it again between.

    Its data is kept in `folder`. `beside` is another one whose database and keys this one shares, so that tokens of the
    one are tokens of the other. Tokens last `expiration` seconds. It listens on `port`, a free one where that is 0.

    Raises, when entered:
        NoEnvironmentError: there is no environment for it.
    """

    def __init__(
        self,
        folder: Path,
        say: Say = print,
        *,
        expiration: int = 3600,
        beside: Keystone | None = None,
        port: int = 0,
    ) -> None:
        self._say = say
        self._data: Path = folder if beside is None else beside._data
        self._config = folder / "keystone.conf"
        self.folder = folder
        self.log = folder / "keystone.log"
        self.expiration = expiration
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}/v3"
        self._beside = beside
        self._process = ServerProcess("Keystone", self.log)
        self._admin = ""
        self._service: Account | None = None
        # A proxy of the environment has no say about loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        commands = KEYSTONE.commands(self._say)
        self._program = [str(commands / "python"), str(TOOLS / "serve_keystone.py"), str(self.port)]
        if self._beside is None:
            shutil.copytree(TEMPLATE, self._data, dirs_exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(CONFIG.format(folder=self._data, expiration=self.expiration), "utf-8")
        self.start()
        try:
            if self._beside is None:
                self.admin("PUT", f"/regions/{REGION}", {"region": {}})
                self.offer(self.url, "identity", "keystone")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        variables = {"OS_KEYSTONE_CONFIG_FILES": str(self._config)}
        self._process.start(self._program, self.folder, variables, self._answers)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._process.stop()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, RefusedError):
            self.call("GET", "")
            return True
        return False

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """What it answers, from JSON; None where the answer has no body. `path` begins behind ``/v3``.

        Raises:
            RefusedError: the answer is an error.
        """
        return self._ask(method, path, body, headers)[0]

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """The same, asked by the administrator of the whole system."""
        if not self._admin:
            self._admin = self.token("admin", ADMIN_PASSWORD, scope={"system": {"all": True}})
        return self.call(method, path, body, {"X-Auth-Token": self._admin})

    def token(self, user: str, password: str, *, scope: Any = None, methods: Mapping[str, Any] | None = None) -> str:
        """A new token of a user of the default domain, or by other `methods`; unscoped without a `scope`."""
        who = {"name": user, "domain": {"id": "default"}, "password": password}
        identity: dict[str, Any] = {"password": {"user": who}} if methods is None else dict(methods)
        auth: dict[str, Any] = {"identity": {"methods": list(identity), **identity}}
        if scope is not None:
            auth["scope"] = scope
        return self._ask("POST", "/auth/tokens", {"auth": auth}, None)[1]["X-Subject-Token"]

    def token_of(self, account: Account, project: str) -> str:
        """A new token of an account for a project, by its id."""
        return self.token(account.name, account.password, scope={"project": {"id": project}})

    def revoke(self, token: str) -> None:
        """End a token before its time."""
        self.call("DELETE", "/auth/tokens", headers={"X-Auth-Token": token, "X-Subject-Token": token})

    def project(self, name: str) -> str:
        """A new project of the default domain; its id."""
        made = self.admin("POST", "/projects", {"project": {"name": name, "domain_id": "default"}})
        return str(made["project"]["id"])

    def user(self, name: str = "") -> Account:
        """A new user of the default domain, without a role anywhere."""
        name = name or f"user-{next(_NUMBERS)}"
        password = f"password-of-{name}"
        made = self.admin("POST", "/users", {"user": {"name": name, "password": password, "domain_id": "default"}})
        return Account(str(made["user"]["id"]), name, password)

    def role(self, name: str) -> str:
        """The id of a role, which is made where it is not there."""
        found = self.admin("GET", f"/roles?name={name}")["roles"]
        return str((found or [self.admin("POST", "/roles", {"role": {"name": name}})["role"]])[0]["id"])

    def grant(self, account: Account, role: str, project: str | None) -> None:
        """Give a user a role in a project; in the whole system where `project` is None."""
        where = "/system" if project is None else f"/projects/{project}"
        self.admin("PUT", f"{where}/users/{account.id}/roles/{self.role(role)}")

    def member(self, project: str, *roles: str, name: str = "") -> Account:
        """A new user with roles in a project."""
        account = self.user(name)
        for role in roles:
            self.grant(account, role, project)
        return account

    def application_credential(
        self,
        account: Account,
        project: str,
        rules: Sequence[Mapping[str, str]] | None = None,
        *,
        unrestricted: bool = False,
    ) -> tuple[str, str]:
        """A new application credential, with access rules or without: its id and secret. One that is `unrestricted` may
        make others.
        """
        wanted: dict[str, Any] = {"name": f"credential-{next(_NUMBERS)}", "unrestricted": unrestricted}
        if rules is not None:
            wanted["access_rules"] = list(rules)
        made = self.call(
            "POST",
            f"/users/{account.id}/application_credentials",
            {"application_credential": wanted},
            {"X-Auth-Token": self.token_of(account, project)},
        )["application_credential"]
        return made["id"], made["secret"]

    def token_by(self, credential: tuple[str, str]) -> str:
        """A new token by an application credential."""
        number, secret = credential
        return self.token("", "", methods={"application_credential": {"id": number, "secret": secret}})

    def authtoken(self, **more: str) -> str:
        """The group ``[keystone_authtoken]`` of a service's configuration: the service is a user of its own in a
        project of its own, with the role `service`. `more` are options on top.
        """
        if self._service is None:
            self._service = self.member(self.project("service"), "service", name="glare")
        options = {
            "auth_type": "password",
            "auth_url": self.url,
            "username": self._service.name,
            "password": self._service.password,
            "user_domain_name": "Default",
            "project_name": "service",
            "project_domain_name": "Default",
            "http_connect_timeout": "60",
            **more,
        }
        return "[keystone_authtoken]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())

    def offer(self, url: str, kind: str = "artifact", name: str = "glare") -> None:
        """Put a service into the catalogue, at this address."""
        made = self.admin("POST", "/services", {"service": {"type": kind, "name": name}})
        for interface in ("public", "internal"):
            endpoint = {"service_id": made["service"]["id"], "interface": interface, "region_id": REGION, "url": url}
            self.admin("POST", "/endpoints", {"endpoint": endpoint})

    def _ask(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> tuple[Any, Mapping[str, str]]:
        request = urllib.request.Request(  # noqa: S310 - the address is its own
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return json.loads(text) if text else None, answer.headers
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, error.read().decode("utf-8", "replace")) from None
