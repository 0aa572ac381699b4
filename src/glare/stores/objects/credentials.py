"""Where credentials for S3 come from: the configuration, the environment, the files of the AWS tools, and then what
obstore finds by itself (a web identity, a container, the instance's role).
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypedDict

from glare.errors import Unavailable
from glare.stores.objects.options import S3Options

_DEFAULT_FILE: Final = "~/.aws/credentials"


_KEPT: Final = timedelta(minutes=10)
"""How long credentials of a file hold before it is read again: they may be exchanged while the service runs."""


class Credential(TypedDict):
    """What obstore takes from a provider. It asks again when `expires_at` is over, never where it is None."""

    access_key_id: str
    secret_access_key: str
    token: str | None
    expires_at: datetime | None


Provider = Callable[[], Credential]


def find(options: S3Options, environment: Mapping[str, str] = os.environ) -> dict[str, Provider]:
    """Words for `S3Store`: none where obstore is to look by itself.

    Raises `Unavailable` for a file or a profile that is named and is not there.
    """
    if options.access_key_id is not None and options.secret_access_key is not None:
        return _given(options.access_key_id, options.secret_access_key, None)
    named = options.profile is not None or options.credentials_file is not None
    if not named and environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        return _given(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN")
        )
    profile = options.profile or environment.get("AWS_PROFILE") or "default"
    path = options.credentials_file or Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or _DEFAULT_FILE)

    def provide() -> Credential:
        found = _read(path.expanduser(), profile)
        if found is None:
            raise Unavailable(
                f"There are no credentials for the profile {profile!r} in {path}; correct [s3] credentials_file and "
                "profile, or the file."
            )
        return {**found, "expires_at": datetime.now(UTC) + _KEPT}

    if not named and _read(path.expanduser(), profile) is None:
        return {}
    provide()
    return {"credential_provider": provide}


def _read(path: Path, profile: str) -> Credential | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
        found = parser[profile]
        return _credential(found["aws_access_key_id"], found["aws_secret_access_key"], found.get("aws_session_token"))
    except (OSError, UnicodeDecodeError, KeyError):
        return None
    except configparser.Error:
        # Its text would quote a line of the file.
        raise Unavailable(f"The file of credentials {path} cannot be read as one; correct it.") from None


def _credential(key: str, secret: str, token: str | None) -> Credential:
    return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}


def _given(key: str, secret: str, token: str | None) -> dict[str, Provider]:
    # By a provider rather than by words: those can be read back from the store that obstore makes.
    return {"credential_provider": lambda: _credential(key, secret, token)}
