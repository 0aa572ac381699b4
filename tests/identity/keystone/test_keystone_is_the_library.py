"""The source decides as the whole middleware of the library does, which is asked beside it as WSGI."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glare.domain.actor import Actor
from glare.errors import GlareError, Unauthorized
from glare.identity.base import Credentials
from glare.identity.keystone.library import make, open_options
from glare.identity.keystone.source import KeystoneSource
from support.programs.keystone import Account, Keystone, MakeSource

Answer = tuple[int, Mapping[str, str], Mapping[str, str]]
"""Status, headers of the answer, and those with which the application was called, by their names in WSGI."""


def middleware(path: Path) -> Callable[[Credentials], Answer]:
    """The library as services use it, around an application that answers 204."""
    library: Any = importlib.import_module("keystonemiddleware.auth_token")
    options = open_options([path], environment=False)
    make(options)  # Sets the defaults.
    called: dict[str, str] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        called.update({name: value for name, value in environ.items() if name.startswith("HTTP_")})
        start_response("204 No Content", [])
        return []

    protocol = library.AuthProtocol(application, {"oslo_config_config": options.conf})

    def ask(credentials: Credentials) -> Answer:
        called.clear()
        answer: list[Any] = []
        environ = {
            "REQUEST_METHOD": credentials.method,
            "PATH_INFO": credentials.path,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "glare",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in credentials.headers.items()},
        }
        protocol(environ, lambda status, headers, _=None: answer.extend((int(status[:3]), dict(headers))))
        return answer[0], answer[1], dict(called)

    return ask


def of_source(source: KeystoneSource, credentials: Credentials) -> Actor | int:
    """The caller, or the status of the refusal."""
    try:
        found = source.decide(credentials)
    except GlareError as error:
        return 401 if isinstance(error, Unauthorized) else 503
    return 401 if found is None else found


def test_both_decide_alike(
    make_source: MakeSource, keystone: Keystone, alpha: str, ann: Account, tmp_path: Path
) -> None:
    """Whoever the one lets in the other lets in as the same caller, and all else both refuse, also headers that claim
    to be somebody.
    """
    source = make_source()
    ask = middleware(tmp_path / "keystone.conf")
    member = keystone.token_of(ann, alpha)
    service = keystone.token_of(keystone.member(alpha, "service"), alpha)
    rule = {"method": "GET", "path": "/artifacts/images/*", "service": "artifact"}
    limited = keystone.token_by(keystone.application_credential(ann, alpha, [rule]))
    revoked = keystone.token_of(ann, alpha)
    keystone.revoke(revoked)
    claims = {
        "x-identity-status": "Confirmed",
        "x-project-id": "other",
        "x-user-id": "other",
        "x-roles": "admin",
        "x-service-identity-status": "Confirmed",
        "x-service-roles": "service",
        "openstack-system-scope": "all",
        "x-tenant-id": "other",
    }
    wrong = "gAAAAA" + "x" * 178
    for headers in (
        {},
        claims,
        {"x-auth-token": member},
        {"x-auth-token": member, **claims},
        {"x-auth-token": f" {member} "},
        {"x-storage-token": member},
        {"x-auth-token": wrong, "x-storage-token": member},
        {"x-auth-token": wrong, **claims},
        {"x-auth-token": revoked},
        {"x-auth-token": limited},
        {"x-auth-token": limited, **claims},
        {"x-auth-token": limited, "x-service-token": wrong},
        {"x-auth-token": limited, "x-service-token": member},
        {"x-auth-token": limited, "x-service-token": service},
        {"x-auth-token": member, "x-service-token": service},
        {"x-auth-token": member, "x-service-token": member},
        {"x-auth-token": member, "x-service-token": wrong},
        {"x-service-token": service},
    ):
        for method, path in (("GET", "/artifacts/images/1"), ("PUT", "/artifacts/images/1"), ("GET", "/artifacts")):
            credentials = Credentials(headers, None, method, path)
            status, told, given = ask(credentials)
            decision = of_source(source, credentials)
            case = (sorted(headers), method, path)
            if status != 204:
                assert decision == status, case
                assert told["WWW-Authenticate"] == source.challenges[0]
                continue
            assert isinstance(decision, Actor), case
            assert decision.user == given["HTTP_X_USER_ID"]
            assert decision.project == given["HTTP_X_PROJECT_ID"] == alpha
            assert decision.roles == set(given["HTTP_X_ROLES"].split(","))
            assert decision.service_roles == set(filter(None, given.get("HTTP_X_SERVICE_ROLES", "").split(",")))
            assert not decision.system
