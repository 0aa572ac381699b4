"""Credentials for S3 are looked for where the AWS tools look for them, in an order, and are never shown."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from glare.errors import Unavailable
from glare.stores.objects.credentials import Credential, find
from glare.stores.objects.options import S3Options
from support.programs.seaweedfs import in_bucket

FILE = """\
[default]
aws_access_key_id = OFFILE
aws_secret_access_key = secret%of/file
[other]
aws_access_key_id = OFOTHER
aws_secret_access_key = secret-of-other
aws_session_token = token-of-other
[half]
aws_access_key_id = HALF
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_text(FILE)
    return path


@pytest.fixture
def nobody(tmp_path: Path) -> S3Options:
    """Options that name nobody."""
    return replace(in_bucket("bucket", "http://127.0.0.1:1"), access_key_id=None, secret_access_key=None)


def who(options: S3Options, environment: dict[str, str]) -> Credential | None:
    """Who is found; None where obstore is to look by itself."""
    found = find(options, environment)
    return found["credential_provider"]() if found else None


def test_each_place_is_asked_before_the_next(nobody: S3Options, file: Path, tmp_path: Path) -> None:
    """The configuration, then variables, then the file, then whatever the library finds."""
    given = replace(nobody, access_key_id="GIVEN", secret_access_key="secret-given")
    variables = {"AWS_ACCESS_KEY_ID": "OFVARIABLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    known = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    none = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    found = [who(given, variables | known), who(nobody, variables | known), who(nobody, known), who(nobody, none)]
    assert [each and each["access_key_id"] for each in found] == ["GIVEN", "OFVARIABLE", "OFFILE", None]
    assert found[1] is not None
    assert found[1]["token"] == "t"
    assert found[2] is not None
    assert found[2]["secret_access_key"] == "secret%of/file"


def test_a_profile_is_a_part_of_the_file(nobody: S3Options, file: Path) -> None:
    """By the configuration or by the variable; what is named counts before variables that say who."""
    variables = {"AWS_ACCESS_KEY_ID": "OFVARIABLE", "AWS_SECRET_ACCESS_KEY": "s"}
    named = replace(nobody, credentials_file=file, profile="other")
    found = who(named, variables)
    assert found is not None
    assert (found["access_key_id"], found["token"]) == ("OFOTHER", "token-of-other")
    known = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "other"}
    found = who(nobody, known)
    assert found is not None
    assert found["access_key_id"] == "OFOTHER"


@pytest.mark.parametrize("profile", ["missing", "half"])
def test_what_is_named_and_not_there_is_an_error(nobody: S3Options, file: Path, profile: str) -> None:
    """Never a reason to look on, and to be somebody else."""
    with pytest.raises(Unavailable, match=profile):
        find(replace(nobody, credentials_file=file, profile=profile), {})
    with pytest.raises(Unavailable, match="none"):
        find(replace(nobody, credentials_file=file.with_name("none")), {})


def test_a_file_that_is_none_is_not_quoted(nobody: S3Options, file: Path) -> None:
    """A line of it may be a secret."""
    file.write_text("aws_secret_access_key secret-line\n")
    with pytest.raises(Unavailable) as caught:
        find(replace(nobody, credentials_file=file), {})
    assert "secret-line" not in "".join(traceback.format_exception(caught.value))


def test_a_file_is_read_again(nobody: S3Options, file: Path) -> None:
    """Credentials may be exchanged while the service runs: those of a file end, and are asked for again."""
    provide = find(replace(nobody, credentials_file=file), {})["credential_provider"]
    assert provide()["expires_at"] is not None
    file.write_text(FILE.replace("OFFILE", "EXCHANGED"))
    assert provide()["access_key_id"] == "EXCHANGED"
