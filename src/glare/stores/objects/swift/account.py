"""Requests to an account of Swift: who Glare is there, time-outs, and what is asked once more.

keystoneauth sends them. It logs in, and logs in again where its token has ended; nothing of a request is logged.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

import requests
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from swiftclient.authv1 import PasswordPlugin

from glare.errors import GlareError, Unavailable
from glare.stores.objects import failures
from glare.stores.objects.options import SwiftOptions

_CONNECTIONS: Final = 64
_FIRST_PAUSE: Final = 0.1
_PROBE_SECONDS: Final = 3.0
"""Seconds that a probe waits for the store: less than the five after which it is answered without it."""

_SPARE_SECONDS: Final = 30.0
"""Before a token ends by so much there is a new one."""

_SHARED_SECONDS: Final = 1.0

_AGAIN: Final = frozenset({408, 429, 498, 500, 502, 503, 504})
_SILENT: Final = (requests.RequestException, exceptions.ConnectionError, OSError)


class Kind(Enum):
    """How long a request may take."""

    QUICK = "quick"  # It has a bounded size.
    STREAM = "stream"  # Its answer is read as slowly as its reader likes.
    PROBE = "probe"  # Its sender would rather hear that there is no answer than wait, and asks once.


@dataclass(frozen=True, slots=True)
class Asking:
    """A request: its path below the account (of keys that are not quoted yet), and what goes with it.

    `seconds` are those that it may take besides the usual ones.
    """

    method: str
    path: str = ""
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    data: bytes | None = None
    kind: Kind = Kind.QUICK
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Login:
    """The URL of the account, and the token that opens it; `access` is what keystoneauth knows of both."""

    url: str
    token: str
    access: Any

    def lasts(self, seconds: float) -> bool:
        """Whether the token is good for so long."""
        return not self.access.will_expire_soon(seconds)


class Account:
    """The account that the options lead to, for the store of this name. Safe for threads.

    Raises `Unavailable` for options that cannot work.
    """

    def __init__(self, options: SwiftOptions, store: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.store = store
        self._options = options
        self._times = options.times
        self._sleep = sleep
        self._auth = _plugin(options, store)
        self._probe_seconds = min(_PROBE_SECONDS, options.times.request)
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=_CONNECTIONS, pool_block=False))
        self._session = self._new_session(options.times.request)
        self._hurried = self._new_session(self._probe_seconds)
        self._logging_in = threading.Lock()
        self._failed_at = -math.inf  # When nobody could log in last.
        self._login: _Login | None = None

    def ask(self, asking: Asking) -> requests.Response:
        """The answer, whatever its status, once those are over that are worth another try. The caller reads it, or
        closes it.

        Raises `Unavailable` where there is none, or where nobody lets Glare in.
        """
        times = self._times
        until = time.monotonic() + times.retry_time
        tries = 1 if asking.kind is Kind.PROBE else times.retries + 1
        pause = _FIRST_PAUSE
        refused = False
        while True:
            tries -= 1
            found: requests.Response | None = None
            why: BaseException | None = None
            try:
                login = self._log_in(asking.kind)
                found = self._once(asking, login)
                if found.status_code == 401 and not refused:
                    # The token has ended before its time.
                    found.close()
                    self._forget(login)
                    refused = True
                    tries += 1
                    continue
                if found.status_code not in _AGAIN:
                    return found
            except _SILENT as error:
                why = error
            wait = pause * (0.5 + random.random() / 2)  # noqa: S311 - it spreads tries, and hides nothing
            if tries <= 0 or time.monotonic() + wait > until:
                break
            if found is not None:
                found.close()
            self._sleep(wait)
            pause = min(pause * 2, times.longest_pause)
        if found is None:
            raise failures.silent(why or OSError(), self.store, asking.method) from None
        return found

    @property
    def patience(self) -> float:
        """Seconds that the body of an answer of a bounded size may take."""
        return self._times.request

    def refuse(self, found: requests.Response, action: str) -> GlareError:
        """The error of the tree for an answer that is no success; the answer is closed."""
        found.close()
        return failures.answered(found.status_code, None, self.store, action)

    def _once(self, asking: Asking, login: _Login) -> requests.Response:
        return self._session.request(
            f"{login.url}{quote(asking.path)}",
            asking.method,
            authenticated=False,
            redirect=False,
            raise_exc=False,
            log=False,
            headers={"Accept-Encoding": "identity", **(asking.headers or {}), "X-Auth-Token": login.token},
            params=dict(asking.query or {}),
            data=asking.data,
            stream=True,
            timeout=self._seconds(asking),
        )

    def _log_in(self, kind: Kind) -> _Login:
        """The login of before, as long as its token is good. One thread logs in anew; who waits for it, or comes
        within a second after it has failed, shares what came of it: a silent Keystone costs nobody more than once.
        """
        known = self._login
        if known is not None and known.lasts(_SPARE_SECONDS):
            return known
        try:
            return self._shared_login(kind, time.monotonic())
        except (GlareError, *_SILENT):
            if known is None or not known.lasts(0):
                raise
            return known  # It is good for some seconds yet.

    def _shared_login(self, kind: Kind, asked_at: float) -> _Login:
        patience = self._probe_seconds if kind is Kind.PROBE else self._times.request
        if not self._logging_in.acquire(timeout=patience):
            raise Unavailable(f"Store {self.store!r} is out of reach (logging in takes too long); retry later.")
        try:
            known = self._login
            if known is not None and known.lasts(_SPARE_SECONDS):
                return known
            if self._failed_at > asked_at - _SHARED_SECONDS:
                raise Unavailable(f"Store {self.store!r} is out of reach (nobody can log in); retry later.")
            try:
                self._login = login = self._new_login(self._hurried if kind is Kind.PROBE else self._session)
            except BaseException:
                self._failed_at = time.monotonic()
                raise
            return login
        finally:
            self._logging_in.release()

    def _forget(self, login: _Login) -> None:
        """Log in anew before the next request, unless somebody has."""
        if not self._logging_in.acquire(timeout=self._probe_seconds):
            return  # Somebody is at it.
        try:
            if self._login is login:
                self._login = None
                self._auth.invalidate()
        finally:
            self._logging_in.release()

    def _new_login(self, session: Session) -> _Login:
        options = self._options
        url = None
        with self._named_login():
            access = self._auth.get_access(session)
            with suppress(exceptions.EndpointNotFound):
                url = self._auth.get_endpoint(
                    session,
                    service_type="object-store",
                    interface=options.interface,
                    region_name=options.region,
                    skip_discovery=True,
                )
        if url is None:
            raise Unavailable(
                f"Store {self.store!r} is out of reach: the catalogue of its login names no service of type "
                f"object-store with interface {options.interface!r}"
                f"{f' in region {options.region!r}' if options.region else ''}. Correct these options."
            )
        return _Login(str(url).rstrip("/"), access.auth_token, access)

    @contextmanager
    def _named_login(self) -> Iterator[None]:
        """Give errors of logging in their names. Nothing of what was sent is told on."""
        try:
            yield
        except _SILENT:
            raise
        except exceptions.HttpError as error:
            # The status of a request for bytes raises nothing.
            raise failures.answered(error.http_status or 500, None, self.store, "log in") from None
        except exceptions.ClientException:
            raise failures.answered(401, None, self.store, "log in") from None

    def _seconds(self, asking: Asking) -> tuple[float, float]:
        times = self._times
        if asking.kind is Kind.PROBE:
            return min(self._probe_seconds, times.connect), self._probe_seconds
        if asking.kind is Kind.STREAM:
            return times.connect, times.stall
        return times.connect, times.request + asking.seconds

    def _new_session(self, seconds: float) -> Session:
        """One whose logins take so long at most."""
        file = self._options.ca_file
        if file is not None and not file.is_file():
            raise Unavailable(f"[{self.store}] ca_file {str(file)!r} cannot be read; name a PEM file of certificates.")
        verify: Any = True if file is None else str(file)
        return Session(session=self._http, verify=verify, timeout=seconds, redirect=False, app_name="glare")


def _plugin(options: SwiftOptions, store: str) -> Any:
    """How Glare logs in."""
    auth_url = options.endpoint or ""
    if options.auth_version == 1:
        if options.username is None or options.password is None:
            raise Unavailable(f"[{store}] username and password are needed with auth_version = 1; set both.")
        return PasswordPlugin(auth_url, options.username, options.password, options.project_name)
    if options.application_credential_id is not None and options.application_credential_secret is not None:
        return v3.ApplicationCredential(
            auth_url,
            application_credential_id=options.application_credential_id,
            application_credential_secret=options.application_credential_secret,
        )
    if options.username is None or options.password is None or options.project_name is None:
        raise Unavailable(
            f"[{store}] needs username, password and project_name, or application_credential_id and "
            "application_credential_secret; set them."
        )
    return v3.Password(
        auth_url,
        username=options.username,
        password=options.password,
        user_domain_name=options.user_domain_name,
        project_name=options.project_name,
        project_domain_name=options.project_domain_name,
    )
