"""keystonemiddleware: what it is configured with, and the object of it that checks tokens.

Its options stand in ``[keystone_authtoken]`` of the service's own configuration files, as in every OpenStack service,
and are read by the library itself. It is imported where the source is chosen, and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg

from glare.errors import GlareError
from glare.identity.keystone.memory import TokenMemory

EXTRA: Final = "glare-server[keystone]"
GROUP: Final = "keystone_authtoken"
SERVICE_TYPE: Final = "artifact"
_TIMEOUT: Final = 10
"""Seconds for one answer of Keystone where the operator names none: the library would wait for ever."""
_MEMORY: Final = "glare.tokens"
"""The key of the library's own cache in what it is asked with."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """The library, made with its options. `challenge` is its ``WWW-Authenticate``.

    `request_class` is that of its requests, `refusals` what it refuses them with, and `unreachable` what may be behind
    a refusal where Keystone did not answer. `cache_time` is how long it keeps what Keystone has said, in seconds, 0 for
    not at all, and `shared` whether it keeps that in memcached.
    """

    protocol: Any
    request_class: Any
    refusals: type[Exception]
    unreachable: tuple[type[Exception], ...]
    challenge: str
    cache_time: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the library and of the way in which it authenticates itself, as they are written: their values,
    and those that there are, by group.
    """

    conf: cfg.ConfigOpts
    declared: Mapping[str, tuple[cfg.Opt, ...]]

    @property
    def ours(self) -> Any:
        """The values of ``[keystone_authtoken]``."""
        return self.conf[GROUP]

    @property
    def auth(self) -> Any:
        """Those of the group where auth_section points, or of the same."""
        return self.conf[_auth_group(self.conf)]

    def spellings(self) -> Mapping[str, Mapping[str, bool]]:
        """Every name that an option may be written by, with its older ones, and whether its value is secret; by
        group.
        """
        return {
            group: {name: bool(option.secret) for option in options for name in _spellings(option)}
            for group, options in self.declared.items()
        }


def installed() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("keystonemiddleware") is not None


def make(options: Options) -> Middleware:
    """Make it; nothing is connected.

    Raises:
        GlareError: its options cannot be used; the message says what to do about it.
    """
    library = _load()
    _check(options)
    conf, shared = options.conf, bool(options.ours.memcached_servers)
    address = options.ours.www_authenticate_uri or getattr(options.auth, "auth_url", None)
    if not address:
        raise GlareError(f"[{GROUP}] www_authenticate_uri is not set; write the address of Keystone that callers use.")
    for name, value in (
        ("service_type", SERVICE_TYPE),
        ("http_connect_timeout", _TIMEOUT),
        ("www_authenticate_uri", address),
    ):
        conf.set_default(name, value, GROUP)
    overrides: dict[str, Any] = {
        "oslo_config_config": conf,
        # Whether a caller may be anonymous is the pipeline's decision, and Keystone that is down is no wrong token.
        "delay_auth_decision": False,
        # What it would keep in the process itself has no bound.
        **({} if shared else {"cache": _MEMORY}),
    }
    try:
        with _quietly():
            protocol = library.AuthProtocol(None, overrides)
            if shared:
                # What the first request would import.
                importlib.import_module("oslo_cache._memcache_pool")
    except _wrong() as error:
        raise GlareError(f"[{GROUP}] cannot be used: {_one_line(error)}") from None
    exceptions = importlib.import_module("keystoneauth1.exceptions")
    return Middleware(
        protocol=protocol,
        # That of its own `__call__`.
        request_class=vars(library.BaseAuthProtocol)["__call__"].RequestClass,
        refusals=importlib.import_module("webob.exc").HTTPException,
        unreachable=(exceptions.ConnectionError, exceptions.DiscoveryFailure),
        challenge=f'Keystone uri="{address}"',
        cache_time=max(0, options.ours.token_cache_time),
        shared=shared,
    )


def environ(memory: TokenMemory) -> dict[str, Any]:
    """What a request to the library carries besides the caller's own."""
    return {_MEMORY: memory}


def open_options(files: Sequence[Path], *, environment: bool = True) -> Options:
    """Read the options from configuration files and, with `environment`, variables.

    Raises:
        GlareError: the library is missing, or an option has a value that it cannot have.
    """
    library = _load()
    loading = importlib.import_module("keystoneauth1.loading")
    conf = cfg.ConfigOpts()
    declared: dict[str, tuple[cfg.Opt, ...]] = {}

    def declare(group: str, options: Sequence[cfg.Opt]) -> None:
        conf.register_opts(options, group=group)
        declared[group] = (*declared.get(group, ()), *options)

    try:
        arguments = [part for path in files for part in ("--config-file", str(path))]
        conf(arguments, project="glare", default_config_files=[], default_config_dirs=[], use_env=environment)
        for group, options in library.list_opts():
            declare(group, options)
        auth = _auth_group(conf)
        if auth != GROUP:
            declare(auth, loading.get_auth_common_conf_options())
        if name := conf[auth].auth_type:
            with _quietly():
                declare(auth, loading.get_auth_plugin_conf_options(loading.get_plugin_loader(name)))
        for group, options in declared.items():
            for option in options:
                conf[group][option.dest]
    except _wrong() as error:
        raise GlareError(f"[{GROUP}] cannot be used: {_one_line(error)}") from None
    return Options(conf, declared)


def _auth_group(conf: cfg.ConfigOpts) -> str:
    return str(conf[GROUP].auth_section or GROUP)


def _spellings(option: cfg.Opt) -> Iterator[str]:
    yield option.dest
    for other in (option.name, *(older.name for older in option.deprecated_opts)):
        if other:
            yield other.replace("-", "_")


def _check(options: Options) -> None:
    if not options.auth.auth_type:
        raise GlareError(
            f"[{GROUP}] auth_type is not set, so that Glare cannot ask Keystone about tokens; set auth_type = password "
            "with auth_url, username, password, user_domain_name, project_name and project_domain_name."
        )
    if options.ours.token_cache_time == 0:
        raise GlareError(
            f"[{GROUP}] token_cache_time is 0, which keeps a token for ever; write the seconds for which a revoked one "
            "may still be taken for good (300), or -1 to keep none."
        )
    if options.ours.memcached_servers and importlib.util.find_spec("memcache") is None:
        raise GlareError(
            f"[{GROUP}] memcached_servers is set, but python-memcached is not installed; install '{EXTRA}'."
        )


def _load() -> Any:
    if not installed():
        raise GlareError(f"The identity source keystone needs keystonemiddleware; install '{EXTRA}'.")
    with _quietly():
        library = importlib.import_module("keystonemiddleware.auth_token")
    # Below that it tells of each wrong token, in Keystone's words, which may hold the token.
    for name in ("keystonemiddleware", "keystoneauth", "keystoneclient"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return library


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that libraries have about one another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _wrong() -> tuple[type[Exception], ...]:
    """What options that cannot be used are told with: the library's, its files' and its plugins' errors."""
    return (
        cfg.Error,
        ValueError,
        OSError,
        importlib.import_module("keystonemiddleware.exceptions").ConfigurationError,
        importlib.import_module("keystonemiddleware.auth_token").ConfigurationError,
        importlib.import_module("keystoneauth1.exceptions").ClientException,
    )


def _one_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}; correct it, as keystonemiddleware describes it."
