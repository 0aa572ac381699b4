"""What an operator says about object stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Times:
    """How long is waited, in seconds: for a connection, for the answer to one request of a bounded size, for the next
    bytes of a stream. A request that fails is repeated up to `retries` times while `retry_time` lasts, after pauses
    that grow up to `longest_pause`.
    """

    connect: float
    request: float
    stall: float
    retries: int
    retry_time: float
    longest_pause: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """A place in an object store, for the `driver` of this name. `prefix` is empty or ends with a slash; `endpoint` is
    a URL, None for the service's own.
    """

    driver: ClassVar[str]
    prefix: str
    endpoint: str | None
    ca_file: Path | None
    times: Times

    @property
    def name(self) -> str:
        """What the place is called there."""
        raise NotImplementedError

    @property
    def whereabouts(self) -> tuple[str | None, ...]:
        """Two places are the same where this is equal."""
        return (self.driver, self.endpoint, self.name, self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options(PlaceOptions):
    """A bucket of S3, or of what speaks it.

    `path_style` says whether the bucket stands in the path rather than in the name of the host. Credentials that are
    None are looked for where the AWS tools look for them.
    """

    driver: ClassVar[str] = "s3"
    bucket: str
    region: str | None
    path_style: bool
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None
    profile: str | None = None

    @property
    def name(self) -> str:
        return self.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureOptions(PlaceOptions):
    """A container of Azure Blob Storage.

    Without a key and a token obstore looks for who the service is: variables, a workload identity, a managed identity.
    """

    driver: ClassVar[str] = "azure"
    account: str
    container: str
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.container

    @property
    def whereabouts(self) -> tuple[str | None, ...]:
        return (self.driver, self.endpoint, self.account, self.container, self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class GCSOptions(PlaceOptions):
    """A bucket of Google Cloud Storage.

    Without a file obstore looks for who the service is: variables, the file of Google's tools, the machine's account.
    """

    driver: ClassVar[str] = "gcs"
    bucket: str
    credentials_file: Path | None = None

    @property
    def name(self) -> str:
        return self.bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class SwiftOptions(PlaceOptions):
    """A container of OpenStack Swift; `endpoint` is where Glare logs in.

    That is Keystone, or Swift's own TempAuth where `auth_version` is 1. With an application credential neither user nor
    project is named.
    """

    driver: ClassVar[str] = "swift"
    container: str
    auth_version: int
    username: str | None
    project_name: str | None
    user_domain_name: str
    project_domain_name: str
    region: str | None
    interface: str
    password: str | None = field(default=None, repr=False)
    application_credential_id: str | None = None
    application_credential_secret: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.container

    @property
    def whereabouts(self) -> tuple[str | None, ...]:
        who = self.application_credential_id or self.username
        return (self.driver, self.endpoint, self.project_name or who, self.container, self.prefix)
