"""The issuers that the operator has named, read from a TOML file::

[issuers.corp]
issuer = "https://login.example.com/realms/corp"
audience = ["glare"]

[[issuers.corp.rules]]
each = { groups = "/glare/*/*" }
project = "{1}"
roles = ["{2}"]
among = ["reader", "member"]
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from glare.identity.oidc.claims import Template, check_name
from glare.identity.oidc.keys import ALGORITHMS
from glare.identity.oidc.mapping import ClaimMapping, RuleDocument, compile_rules

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_FILE: Final = 1 << 20
DEFAULT_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


class IssuersError(Exception):
    """The file cannot be used. The message is a sentence with file, issuer, rule, reason and remedy."""


class IssuerDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One issuer as the file has it. What each member means: docs/how-to/sign-in-with-oidc.md."""

    issuer: str
    audience: list[str]
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    user: str = "{sub}"
    project_prefix: str | None = None
    networks: list[str] = []
    ports: list[int] = []
    ca_file: str | None = None
    allow_http: bool = False
    jwks_uri: str | None = None
    jwks_file: str | None = None
    publishers: bool = False
    kind: Literal["github", "gitlab", "kubernetes", "other"] = "other"
    anchors: list[str] = []
    rules: list[RuleDocument] = []


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    issuers: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Reach:
    """How an issuer is reached: inside networks and further ports that are open to it, its authorities, whether
    without TLS; and where its keys are, where its discovery document is not asked.
    """

    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()
    ca_file: Path | None = None
    allow_http: bool = False
    jwks_uri: str | None = None
    jwks_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer. `anchors` are the claims of which a publisher must name one exactly; none where it takes no
    publishers.
    """

    name: str
    url: str
    audience: frozenset[str]
    algorithms: frozenset[str]
    mapping: ClaimMapping
    reach: Reach
    publishers: bool
    kind: str
    anchors: tuple[str, ...]


_ANCHORS: Final[Mapping[str, tuple[str, ...]]] = {
    # Names of repositories and owners can be given up and taken by somebody else; their ids cannot.
    "github": ("repository_id", "repository_owner_id"),
    "gitlab": ("project_id", "namespace_id"),
    "kubernetes": ("sub", "/kubernetes.io/serviceaccount/uid", "/kubernetes.io/namespace"),
    "other": ("sub",),
}


def read_issuers(path: Path) -> tuple[Issuer, ...]:
    """The issuers of a file. Raises `IssuersError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise IssuersError(
            f"The file of issuers {path} cannot be read ({error.strerror}); correct [oidc] issuers, or mend its "
            "permissions."
        ) from None
    if len(data) > MAX_FILE:
        raise IssuersError(f"The file of issuers {path} has more than {MAX_FILE} bytes; write fewer rules.")
    try:
        tables = msgspec.convert(tomllib.loads(data.decode()), _File).issuers
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IssuersError(f"The file of issuers {path} is wrong: {_reason(error, _File)}; correct it.") from None
    if not tables:
        raise IssuersError(f"The file of issuers {path} names none; write a table [issuers.NAME].")
    found = []
    for name, table in tables.items():
        try:
            found.append(issuer_of_document(name, _document(table), path.parent))
        except ValueError as why:
            raise IssuersError(
                f"The file of issuers {path} is wrong at issuer {name[:40]!r}: {why}; correct it."
            ) from None
    return _together(path, found)


def _together(path: Path, found: Sequence[Issuer]) -> tuple[Issuer, ...]:
    """What must hold between issuers."""
    urls: dict[str, str] = {}
    for issuer in found:
        other = urls.setdefault(issuer.url, issuer.name)
        if other != issuer.name:
            raise IssuersError(
                f"The file of issuers {path} has {issuer.url!r} twice, as {other!r} and {issuer.name!r}; remove one."
            )
    prefixes = {issuer.name: issuer.mapping.project_prefix for issuer in found}
    return tuple(
        replace(
            issuer,
            mapping=replace(
                issuer.mapping, others=tuple(prefix for name, prefix in prefixes.items() if name != issuer.name)
            ),
        )
        for issuer in found
    )


def _document(table: Mapping[str, Any]) -> IssuerDocument:
    """Raises ValueError with a sentence's end, which names the rule."""
    rules = table.get("rules", [])
    if type(rules) is not list:
        raise ValueError("'rules' must be a list of tables, each under [[issuers.NAME.rules]]")
    documents = []
    for number, rule in enumerate(rules, 1):
        try:
            documents.append(msgspec.convert(rule, RuleDocument))
        except msgspec.ValidationError as error:
            raise ValueError(f"rule {number}: {_reason(error, RuleDocument)}") from None
    try:
        return msgspec.convert({**table, "rules": documents}, IssuerDocument)
    except msgspec.ValidationError as error:
        raise ValueError(_reason(error, IssuerDocument)) from None


def issuer_of_document(name: str, document: IssuerDocument, folder: Path = Path()) -> Issuer:
    """The issuer that a document means; its files are found from `folder` on. Raises ValueError with a sentence's
    end.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("its name must be a lower-case letter and up to 31 letters, digits and dashes")
    _check_url("issuer", document.issuer, allow_http=document.allow_http)
    if not document.audience or any(not 0 < len(audience) <= 512 for audience in document.audience):
        raise ValueError("'audience' must name at least one audience of 1 to 512 characters: what tokens for Glare say")
    for algorithm in document.algorithms:
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"the algorithm {algorithm[:20]!r} cannot be allowed; possible are {', '.join(ALGORITHMS)}"
            )
    if not document.algorithms:
        raise ValueError("'algorithms' is empty; leave it out for the default")
    if not document.rules and not document.publishers:
        raise ValueError("it has no [[rules]] and does not take publishers, so that none of its tokens would do")
    if document.anchors and not document.publishers:
        raise ValueError("'anchors' are for publishers; set publishers = true, or remove them")
    prefix = f"{name}:" if document.project_prefix is None else document.project_prefix
    if len(prefix) > 64 or "," in prefix or not (prefix.isprintable() or not prefix):
        raise ValueError("'project_prefix' must have at most 64 printable characters without a comma")
    anchors = tuple(document.anchors) or _ANCHORS[document.kind]
    for anchor in anchors:
        try:
            check_name(anchor)
        except ValueError as why:
            raise ValueError(f"the claim {anchor[:60]!r} of 'anchors' {why}") from None
    try:
        user = Template.of(document.user, 0)
    except ValueError as why:
        raise ValueError(f"the text {document.user[:60]!r} of 'user' {why}") from None
    if user.is_literal:
        raise ValueError("'user' names no claim, so that everybody would be the same user; write {sub}")
    return Issuer(
        name=name,
        url=document.issuer,
        audience=frozenset(document.audience),
        algorithms=frozenset(document.algorithms),
        mapping=ClaimMapping(user, prefix, prefix, compile_rules(document.rules)),
        reach=_reach(document, folder),
        publishers=document.publishers,
        kind=document.kind,
        anchors=anchors if document.publishers else (),
    )


def _reach(document: IssuerDocument, folder: Path) -> Reach:
    if document.jwks_uri is not None and document.jwks_file is not None:
        raise ValueError("'jwks_uri' and 'jwks_file' are both there; keep one")
    if document.jwks_uri is not None:
        _check_url("jwks_uri", document.jwks_uri, allow_http=document.allow_http)
    if any(not 0 < port < 65536 for port in document.ports):
        raise ValueError("'ports' must be numbers from 1 to 65535")
    networks = []
    for text in document.networks:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError(f"{text[:60]!r} of 'networks' is no network such as 10.1.0.0/16") from None
    named = (document.issuer, document.jwks_uri or document.issuer)
    ports = {_port(url) for url in named} | set(document.ports)
    files = [None if text is None else folder / text for text in (document.ca_file, document.jwks_file)]
    for what, file in zip(("ca_file", "jwks_file"), files, strict=True):
        if file is not None and not file.is_file():
            raise ValueError(f"'{what}' is {str(file)!r}, and there is no such file")
    return Reach(tuple(networks), frozenset(ports), files[0], document.allow_http, document.jwks_uri, files[1])


def _check_url(what: str, text: str, *, allow_http: bool) -> None:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError(f"'{what}' is no URL") from None
    if not url.hostname or url.query or url.fragment or url.username is not None or len(text) > 1024:
        raise ValueError(f"'{what}' must be a URL without user name, query and fragment")
    if url.scheme != "https" and not (url.scheme == "http" and allow_http):
        raise ValueError(f"'{what}' must be an https URL; allow_http = true accepts http where nobody can listen in")


def _port(text: str) -> int:
    url = urlsplit(text)
    return url.port or (443 if url.scheme == "https" else 80)


def _reason(error: Exception, form: type[msgspec.Struct]) -> str:
    """What is wrong, with a hint at the member that was meant."""
    said = " ".join(str(error).split()).rstrip(".")
    unknown = re.search(r"unknown field `([^`]*)`", said)
    if unknown is None:
        return said
    close = difflib.get_close_matches(unknown[1], form.__struct_fields__, 1)
    return f"{said} (did you mean {close[0]}?)" if close else said
