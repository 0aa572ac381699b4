"""Options of object stores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from glare.settings.declare import (
    Section,
    choice,
    common,
    flag,
    integer,
    optional_flag,
    optional_path,
    optional_secret,
    optional_text,
    optional_url,
    seconds,
    section,
    text,
)
from glare.stores.objects.options import AzureOptions, GCSOptions, PlaceOptions, S3Options, SwiftOptions, Times


@common
class ObjectStoreSettings(Section):
    """What all object stores have; each has it as options of its own group."""

    prefix: str | None = optional_text(
        "What the names of keys begin with, such as `glare/`, where the place is not for Glare alone; it ends with a "
        "slash. It cannot be changed later: keys are not renamed.",
        pattern=re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/){1,8}"),
        words="text such as `glare/`, of letters, digits, dots, dashes and underscores, with a slash at its end",
    )
    ca_file: Path | None = optional_path(
        "PEM file of the authorities that the certificate of `endpoint` may be of, besides the well-known ones."
    )
    trusted: bool = flag(
        "false",
        "Whether bytes leave without being compared with what was recorded of them, for who trusts the service: only "
        "their length is. That saves about 1 ms of CPU a MiB. `glare-server fsck` and the patrol compare all the same.",
    )
    connect_timeout: float = seconds(
        "5 s", "How long a connection to the service may take to come about.", at_least=0.1, at_most=120
    )
    request_timeout: float = seconds(
        "60 s",
        "How long a request of a bounded size may take: a part of 8 MiB at most, a list, a deletion. At 150 kB/s a "
        "part takes as long.",
        at_least=0.1,
        at_most=3600,
    )
    read_timeout: float = seconds(
        "30 s",
        "How long a download from the service may bring no byte before it is begun anew where it is.",
        at_least=0.1,
        at_most=3600,
    )
    retries: int = integer(
        "5",
        "How often a request that was not answered, or with 5xx, is repeated, after pauses that grow from 0.1 s to 5 "
        "s; and how often in a row a download is begun anew that brings nothing.",
        at_least=0,
        at_most=20,
    )
    retry_time: float = seconds(
        "60 s",
        "How long after its beginning a request is still repeated. Less than `[uploads] store_timeout`.",
        at_least=0,
        at_most=3600,
    )
    max_transfers: int = integer(
        "128",
        "Uploads to and downloads from this store at the same time in one process; more wait, and hold no thread. "
        "Fewer than `[uploads] max_concurrent`, so that a slow service leaves room for the other stores.",
        at_least=1,
        at_most=4096,
    )

    place_option: ClassVar[str]
    """The option that names the place."""

    @property
    def place(self) -> PlaceOptions | None:
        """Where the store is; None where it is not named."""
        raise NotImplementedError

    @property
    def times(self) -> Times:
        return Times(
            connect=self.connect_timeout,
            request=self.request_timeout,
            stall=self.read_timeout,
            retries=self.retries,
            retry_time=self.retry_time,
        )


@section("s3")
class S3Settings(ObjectStoreSettings):
    """A bucket of S3, or of what speaks it; the store `s3` is there where a bucket is named."""

    bucket: str | None = optional_text(
        "Bucket of the store `s3`. Unset: there is no such store. All nodes name the same one.",
        pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"),
        words="the name of a bucket",
    )
    endpoint: str | None = optional_url(
        "URL of the service, such as `https://s3.example.org`. Unset: Amazon's. With `http` nothing is encrypted."
    )
    region: str | None = optional_text(
        "Region of the bucket. Unset: `us-east-1`, which most services other than Amazon's take.",
        pattern=re.compile(r"[A-Za-z0-9._-]{1,64}"),
        words="the name of a region",
    )
    path_style: bool | None = optional_flag(
        "Whether the bucket stands in the path of URLs rather than in the name of their host. Unset: where `endpoint` "
        "is set."
    )
    access_key_id: str | None = optional_secret(
        "Who the service is there. Unset, with `secret_access_key`: what the variables of the AWS tools say "
        "(`AWS_ACCESS_KEY_ID` and so on), then their file of credentials, then the role of the container or instance.",
        at_most=256,
    )
    secret_access_key: str | None = optional_secret("The secret of `access_key_id`.", at_most=1024)
    credentials_file: Path | None = optional_path(
        "File of credentials as the AWS tools write it, which is read again every ten minutes. Unset: that of "
        "`AWS_SHARED_CREDENTIALS_FILE`, or `~/.aws/credentials`."
    )
    profile: str | None = optional_text(
        "The part of that file. Unset: what `AWS_PROFILE` says, or `default`.",
        pattern=re.compile(r"[!-~]{1,64}"),
        words="the name of a profile",
    )

    place_option: ClassVar[str] = "bucket"

    @property
    def place(self) -> S3Options | None:
        if self.bucket is None:
            return None
        return S3Options(
            prefix=self.prefix or "",
            endpoint=self.endpoint,
            ca_file=self.ca_file,
            times=self.times,
            bucket=self.bucket,
            region=self.region,
            path_style=self.endpoint is not None if self.path_style is None else self.path_style,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            credentials_file=self.credentials_file,
            profile=self.profile,
        )


@section("azure")
class AzureSettings(ObjectStoreSettings):
    """A container of Azure Blob Storage; the store `azure` is there where a container is named."""

    account: str | None = optional_text(
        "The storage account that the container is in.",
        pattern=re.compile(r"[a-z0-9]{3,24}"),
        words="the name of a storage account, 3 to 24 lower-case letters and digits",
    )
    container: str | None = optional_text(
        "Container of the store `azure`. Unset: there is no such store. All nodes name the same one.",
        pattern=re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}"),
        words="the name of a container, 3 to 63 lower-case letters, digits and single dashes",
    )
    endpoint: str | None = optional_url(
        "URL of the account's blob service, where it is not `https://ACCOUNT.blob.core.windows.net`. With `http` "
        "nothing is encrypted."
    )
    account_key: str | None = optional_secret(
        "A key of the account. Unset, without `sas_token` too: what the variables `AZURE_STORAGE_ACCOUNT_KEY`, "
        "`AZURE_CLIENT_ID` and so on say, then the managed identity of the machine.",
        at_most=256,
    )
    sas_token: str | None = optional_secret(
        "A shared access signature of the container, which may read, write, delete and list. It is not renewed.",
        at_most=2048,
    )

    place_option: ClassVar[str] = "container"

    @property
    def place(self) -> AzureOptions | None:
        if self.container is None or self.account is None:
            return None
        return AzureOptions(
            prefix=self.prefix or "",
            endpoint=self.endpoint,
            ca_file=self.ca_file,
            times=self.times,
            account=self.account,
            container=self.container,
            account_key=self.account_key,
            sas_token=self.sas_token,
        )


def _name_of(text: str, words: str = "a name") -> Any:
    return optional_text(text, pattern=re.compile(r"\S(.{0,253}\S)?"), words=words)


@section("gcs")
class GCSSettings(ObjectStoreSettings):
    """A bucket of Google Cloud Storage; the store `gcs` is there where a bucket is named."""

    bucket: str | None = optional_text(
        "Bucket of the store `gcs`. Unset: there is no such store. All nodes name the same one.",
        pattern=re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
        words="the name of a bucket",
    )
    endpoint: str | None = optional_url(
        "URL of the service, where it is not `https://storage.googleapis.com`. With `http` nothing is encrypted."
    )
    credentials_file: Path | None = optional_path(
        "JSON file of a service account. Unset: what the variables `GOOGLE_APPLICATION_CREDENTIALS` and "
        "`GOOGLE_SERVICE_ACCOUNT` name, then the file of Google's tools, then the account of the machine or pod."
    )

    place_option: ClassVar[str] = "bucket"

    @property
    def place(self) -> GCSOptions | None:
        if self.bucket is None:
            return None
        return GCSOptions(
            prefix=self.prefix or "",
            endpoint=self.endpoint,
            ca_file=self.ca_file,
            times=self.times,
            bucket=self.bucket,
            credentials_file=self.credentials_file,
        )


@section("swift")
class SwiftSettings(ObjectStoreSettings):
    """A container of OpenStack Swift; the store `swift` is there where a container is named."""

    container: str | None = optional_text(
        "Container of the store `swift`. Unset: there is no such store. All nodes name the same one. Glare does not "
        "make it.",
        pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"),
        words="the name of a container",
    )
    auth_url: str | None = optional_url(
        "Where Glare logs in: Keystone's URL, such as `https://keystone.example.org/v3`, or that of TempAuth, such as "
        "`https://swift.example.org/auth/v1.0`."
    )
    auth_version: str = choice(
        "3", "How: `3` with Keystone, `1` with Swift's own TempAuth and what works like it.", ("1", "3")
    )
    username: str | None = _name_of("Who the service is there. With `auth_version = 1`: `ACCOUNT:USER`.")
    password: str | None = optional_secret("The password of `username`, or the key of TempAuth.", at_most=1024)
    project_name: str | None = _name_of("Project of `username`, in whose account the container is.")
    user_domain_name: str = text("Default", "Domain of `username`, with Keystone.")
    project_domain_name: str = text("Default", "Domain of `project_name`, with Keystone.")
    application_credential_id: str | None = _name_of(
        "An application credential, in place of `username`, `password` and `project_name`."
    )
    application_credential_secret: str | None = optional_secret(
        "The secret of `application_credential_id`.", at_most=1024
    )
    region: str | None = _name_of("Region whose Swift it is, where Keystone's catalogue has several.")
    interface: str = choice(
        "public", "Which of Swift's URLs in Keystone's catalogue is used.", ("public", "internal", "admin")
    )
    ca_file: Path | None = optional_path(
        "PEM file of the authorities that the certificates of Keystone and Swift may be of, instead of the well-known "
        "ones."
    )

    place_option: ClassVar[str] = "container"

    @property
    def place(self) -> SwiftOptions | None:
        if self.container is None or self.auth_url is None:
            return None
        return SwiftOptions(
            prefix=self.prefix or "",
            endpoint=self.auth_url,
            ca_file=self.ca_file,
            times=self.times,
            container=self.container,
            auth_version=int(self.auth_version),
            username=self.username,
            project_name=self.project_name,
            user_domain_name=self.user_domain_name,
            project_domain_name=self.project_domain_name,
            region=self.region,
            interface=self.interface,
            password=self.password,
            application_credential_id=self.application_credential_id,
            application_credential_secret=self.application_credential_secret,
        )
