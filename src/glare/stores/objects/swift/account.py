"""Requests to an account of Swift: who Glare is there, time-outs, and what is asked once more.

keystoneauth sends them. It logs in, and logs in again where its token has ended; nothing of a request is logged.
"""

from __future__ import annotations

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
        self._session = self._new_session()
        self._logging_in = threading.Lock()
        self._failed_at = 0.0  # When nobody could log in last.
        self._url: str | None = None

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
                found = self._once(asking)
                if found.status_code == 401 and not refused:
                    # Another thread had begun to log in anew, so that this one has not.
                    found.close()
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

    def refuse(self, found: requests.Response, action: str) -> GlareError:
        """The error of the tree for an answer that is no success; the answer is closed."""
        found.close()
        return failures.answered(found.status_code, None, self.store, action)

    def _once(self, asking: Asking) -> requests.Response:
        url = f"{self._log_in()}{quote(asking.path)}"
        with self._named_login():
            return self._session.request(
                url,
                asking.method,
                auth=self._auth,
                redirect=False,
                raise_exc=False,
                log=False,
                headers={"Accept-Encoding": "identity", **(asking.headers or {})},
                params=dict(asking.query or {}),
                data=asking.data,
                stream=True,
                timeout=self._seconds(asking),
            )

    def _log_in(self) -> str:
        """The URL of the account; one thread logs in, and those that wait for it share what comes of it."""
        if self._url is not None:
            return self._url
        asked_at = time.monotonic()
        if not self._logging_in.acquire(timeout=self._times.request):
            raise Unavailable(f"Store {self.store!r} is out of reach (logging in takes too long); retry later.")
        try:
            if self._url is None:
                if self._failed_at > asked_at:
                    raise Unavailable(f"Store {self.store!r} is out of reach (nobody can log in); retry later.")
                self._url = self._endpoint()
            return self._url
        except BaseException:
            self._failed_at = time.monotonic()
            raise
        finally:
            self._logging_in.release()

    def _endpoint(self) -> str:
        options = self._options
        url = None
        with self._named_login(), suppress(exceptions.EndpointNotFound):
            url = self._auth.get_endpoint(
                self._session,
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
        return str(url).rstrip("/")

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
            wait = min(_PROBE_SECONDS, times.request)
            return min(wait, times.connect), wait
        if asking.kind is Kind.STREAM:
            return times.connect, times.stall
        return times.connect, times.request + asking.seconds

    def _new_session(self) -> Session:
        options = self._options
        if options.ca_file is not None and not options.ca_file.is_file():
            raise Unavailable(
                f"[{self.store}] ca_file {str(options.ca_file)!r} cannot be read; name a PEM file of certificates."
            )
        http = requests.Session()
        for scheme in ("http://", "https://"):
            http.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=_CONNECTIONS, pool_block=False))
        verify: Any = True if options.ca_file is None else str(options.ca_file)
        return Session(session=http, verify=verify, timeout=self._times.request, redirect=False, app_name="glare")


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
