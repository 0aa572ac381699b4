"""Options of object stores."""

from __future__ import annotations

import re
from pathlib import Path

from glare.settings.declare import (
    Section,
    flag,
    integer,
    optional_flag,
    optional_path,
    optional_secret,
    optional_text,
    optional_url,
    seconds,
    section,
)


@section("s3")
class S3Settings(Section):
    """A bucket of S3, or of what speaks it; the store `s3` is there where a bucket is named."""

    bucket: str | None = optional_text(
        "Bucket of the store `s3`. Unset: there is no such store. All nodes name the same one.",
        pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}"),
        words="the name of a bucket",
    )
    prefix: str | None = optional_text(
        "What the names of keys begin with, such as `glare/`, where the bucket is not for Glare alone; it ends with a "
        "slash. It cannot be changed later: keys are not renamed.",
        pattern=re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/){1,8}"),
        words="text such as `glare/`, of letters, digits, dots, dashes and underscores, with a slash at its end",
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
    ca_file: Path | None = optional_path(
        "PEM file of the authorities that the certificate of `endpoint` may be of, besides the well-known ones."
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
