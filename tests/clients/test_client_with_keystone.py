"""`openstack artifact …` as users of a cloud have it: they log in at Keystone, whose catalogue says where Glare is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.programs.client import plain_environment
from support.programs.keystone import Account, Keystone, running_keystone
from support.server import Server

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Keystone, Server]]:
    """A Keystone of its own, and a service that its catalogue names."""
    with running_keystone(tmp_path_factory.mktemp("cloud")) as keystone:
        text = "[identity]\npipeline = keystone\n" + keystone.authtoken()
        with Server(tmp_path_factory.mktemp("glare"), text) as server:
            keystone.offer(server.url)
            yield keystone, server


def variables(keystone: Keystone, account: Account, project: str) -> dict[str, str]:
    """What an openrc file sets."""
    return {
        "OS_AUTH_URL": keystone.url,
        "OS_USERNAME": account.name,
        "OS_PASSWORD": account.password,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }


def openstack(commands: Path, folder: Path, env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end."""
    return subprocess.run(
        [str(commands / "openstack"), *words],
        cwd=folder,
        env={**plain_environment(folder), **env},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )


def test_variables_and_clouds_yaml(cloud: tuple[Keystone, Server], commands: Path, tmp_path: Path) -> None:
    """With the usual variables, or with a clouds.yaml that has an application credential, artifacts are made, filled
    and seen; a wrong password is Keystone's matter, and another project sees nothing.
    """
    keystone, server = cloud
    project = keystone.project("blue")
    account = keystone.member(project, "member", name="blue-user")
    env = variables(keystone, account, "blue")
    (tmp_path / "disk").write_bytes(b"bytes of a disk")
    image = ("-p", "disk_format=raw", "-p", "container_format=bare")
    for words in (("create", "images", "disk", *image), ("upload", "images", "disk", "--file", "disk")):
        ended = openstack(commands, tmp_path, env, "artifact", *words)
        assert ended.returncode == 0, ended
    number, secret = keystone.application_credential(account, project)
    cloud_file = {
        "clouds": {
            "mine": {
                "auth_type": "v3applicationcredential",
                "auth": {
                    "auth_url": keystone.url,
                    "application_credential_id": number,
                    "application_credential_secret": secret,
                },
            }
        }
    }
    (tmp_path / "clouds.yaml").write_text(json.dumps(cloud_file))  # JSON is YAML.
    shown = openstack(commands, tmp_path, {"OS_CLOUD": "mine"}, "artifact", "show", "images", "disk", "-f", "json")
    assert shown.returncode == 0, shown
    fields = {row["Field"]: row["Value"] for row in json.loads(shown.stdout)}
    assert (fields["owner"], fields["status"]) == (project, "drafted")
    downloaded = openstack(commands, tmp_path, env, "artifact", "download", "images", "disk", "--file", "copy")
    assert downloaded.returncode == 0, downloaded
    assert (tmp_path / "copy").read_bytes() == b"bytes of a disk"
    keystone.member(keystone.project("red"), "member", name="red-user")
    red = variables(keystone, Account("", "red-user", "password-of-red-user"), "red")
    other = openstack(commands, tmp_path, red, "artifact", "list", "images", "-f", "json")
    assert (other.returncode, json.loads(other.stdout or b"null")) == (0, []), other
    wrong = openstack(commands, tmp_path, env | {"OS_PASSWORD": "wrong"}, "artifact", "list", "images")
    assert wrong.returncode == 1
    assert b"HTTP 401" in wrong.stderr
    assert account.password not in server.log
