"""Every command of `openstack artifact` and of `glare`, as users run them."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from mend_client import MENDS
from support.origins.origin import Origin
from support.programs.client import PROGRAMS, Driver, Shell, plain_environment, spelled
from support.server import Server
from support.service import ACTORS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-openstack-client.md"
IMAGE = ("-p", "container_format=bare", "-p", "disk_format=raw")
TEMPLATE = b"heat_template_version: 2018-08-31\n"
BINARY = bytes(range(256)) * 20


def digests(data: bytes) -> dict[str, object]:
    """Size and digests as a blob shows them."""
    return {"size": len(data)} | {name: hashlib.new(name, data).hexdigest() for name in ("md5", "sha1", "sha256")}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_of_a_program_is_driven(driver: Driver, request: pytest.FixtureRequest, program: str) -> None:
    """Whatever the installed client registers as a command is driven by a test of this file."""
    assert isinstance(request.module, ModuleType)
    driven = {
        spelled(program, command)
        for _, function in inspect.getmembers(request.module, inspect.isfunction)
        for mark in getattr(function, "pytestmark", ())
        if mark.name == "drives" and mark.kwargs.get("only", program) == program
        for command in mark.args
    }
    assert len(driver.offered[program]) >= 17
    assert set(driver.offered[program]) == driven


def test_every_command_is_documented(driver: Driver) -> None:
    """The page about the client has each command of both programs, as they are written there."""
    page = PAGE.read_text("utf-8")
    wanted = {name.removeprefix("artifact ") for name in driver.offered["openstack"]}
    wanted |= set(driver.offered["glare"])
    assert {name for name in wanted if not re.search(rf"`(glare )?{name}[` ]", page)} == set()


def test_every_mend_is_documented() -> None:
    """The page about the client names each file that is mended."""
    assert {change.file for change in MENDS if f"| `{change.file}` |" not in PAGE.read_text("utf-8")} == set()


@pytest.mark.drives("type-list", "schema")
def test_types_and_their_schemas_are_shown(shell: Shell) -> None:
    """The enabled types come with their versions, and a schema with a row for each field; an unknown type is
    refused.
    """
    types = {row["Name"]: row["Version"] for row in shell.alice.table("type-list")}
    assert types["images"] == types["heat_templates"] == types["all"] == "1.0"
    rows = {row["Name"]: row for row in shell.alice.table("schema", "heat-template")}
    assert rows["template"] == {
        "Name": "template",
        "Glare_type": "Blob",
        "Mutable": False,
        "Required": True,
        "Sortable": False,
        "Filters": [],
        "Available_values": "",
    }
    assert rows["default_envs"]["Mutable"] is True
    assert rows["name"]["Sortable"] is True
    assert rows["visibility"]["Available_values"] == ["private", "public"]
    shell.alice.refused(404, "no_such_type", "schema", "no_such_type")


@pytest.mark.drives("create")
def test_an_artifact_is_created_with_fields_of_all_shapes(shell: Shell, name: str) -> None:
    """Strings, lists and dicts of the command line become the fields of their types, owned by the caller's project."""
    made = shell.alice.fields(
        *("create", "image", name, "-V", "1.2", *IMAGE, "-p", "min_ram=512"),
        *("-l", "tags=red,green", "-d", "metadata=os:plan9,cpu:mips"),
    )
    expected = {"name": name, "version": "1.2.0", "owner": "wonderland", "status": "drafted", "visibility": "private"}
    assert {key: made[key] for key in expected} == expected
    assert (made["min_ram"], sorted(made["tags"]), made["metadata"]) == (
        512,
        ["green", "red"],
        {"os": "plan9", "cpu": "mips"},
    )
    assert shell.bob.fields("create", "images", name)["owner"] == "builders"
    assert shell.alice.fields("create", "images", f"{name}-0")["version"] == "0.0.0"


@pytest.mark.drives("create")
def test_what_cannot_be_created_is_refused(shell: Shell, name: str) -> None:
    """A taken version, an unknown type or field, a wrong value and a caller without a token are refused, and leave
    nothing.
    """
    shell.alice.done("create", "images", name)
    shell.alice.refused(409, name, "create", "images", name)
    shell.alice.refused(404, "no_such_type", "create", "no_such_type", name)
    shell.alice.refused(400, "no_such_field", "create", "images", f"{name}-2", "-p", "no_such_field=1")
    shell.alice.refused(400, "min_ram", "create", "images", f"{name}-2", "-p", "min_ram=much")
    shell.person("nonsense").refused(401, "X-Auth-Token", "create", "images", f"{name}-2")
    shell.person("nobody:none:member").refused(403, "belongs to no project", "create", "images", f"{name}-2")
    assert shell.admin.table("list", "images", "-F", f"name={name}-2") == []


@pytest.mark.drives("list")
def test_lists_are_filtered_sorted_and_paged(shell: Shell, name: str) -> None:
    """Filters, sorting, limits, pages and markers choose the rows; others' private artifacts are in no list but an
    administrator's.
    """
    ids = {}
    for number, ram in ((1, 128), (2, 512), (3, 1024), (4, 2048)):
        words = ("-V", str(number), "-p", f"min_ram={ram}", "-l", f"tags={name}")
        ids[number] = shell.alice.fields("create", "images", name, *words)["id"]

    def listed(*words: str) -> list[str]:
        rows = shell.alice.table("list", "images", "-F", f"tags={name}", *words)
        return [row["Version"].partition(".")[0] for row in rows]

    rows = shell.alice.table("list", "images", "-F", f"tags={name}", "-F", "version=2.0.0")
    assert rows == [
        {
            "Id": ids[2],
            "Name": name,
            "Version": "2.0.0",
            "Owner": "wonderland",
            "Visibility": "private",
            "Status": "drafted",
        }
    ]
    assert listed("-S", "version:desc") == ["4", "3", "2", "1"]
    assert listed("-S", "version:asc", "-F", "min_ram=gte:512") == ["2", "3", "4"]
    assert listed("-S", "version:asc", "-p", "1") == ["1", "2", "3", "4"]
    assert listed("-S", "version:asc", "-p", "2", "-l", "3") == ["1", "2", "3"]
    assert listed("-S", "version:asc", "-l", "2") == ["1", "2"]
    assert listed("-S", "version:asc", "-m", ids[2]) == ["3", "4"]
    everything = shell.alice.table("list", "all", "-F", f"name={name}")
    assert {row["Type name"] for row in everything} == {"images"}
    assert shell.bob.table("list", "images", "-F", f"tags={name}") == []
    assert len(shell.admin.table("list", "images", "-F", f"tags={name}")) == 4
    shell.alice.refused(404, "no_such_type", "list", "no_such_type")
    shell.alice.refused(400, "no_such_field", "list", "images", "-F", "no_such_field=1")
    shell.alice.fails("Invalid sort direction: up", "list", "images", "-S", "name:up")


@pytest.mark.drives("show", "publish")
def test_an_artifact_is_found_by_name_version_or_id(shell: Shell, name: str) -> None:
    """A name means its latest version; what several owners have is listed for a choice; what is hidden does not
    exist.
    """
    ids = {}
    for version in ("1.0.0", "2.0.0", "1.10.0"):
        ids[version] = shell.alice.fields("create", "images", name, "-V", version, *IMAGE)["id"]
    assert shell.alice.fields("show", "images", name)["id"] == ids["2.0.0"]
    assert shell.alice.fields("show", "image", name, "-V", "1.10.0")["id"] == ids["1.10.0"]
    assert shell.alice.fields("show", "images", ids["1.0.0"], "--id")["version"] == "1.0.0"
    assert shell.admin.fields("show", "images", ids["1.0.0"], "--id")["owner"] == "wonderland"
    shell.bob.refused(404, ids["1.0.0"], "show", "images", ids["1.0.0"], "--id")
    shell.bob.fails(f"Artifact with name={name} and version=latest not found", "show", "images", name)
    shell.alice.refused(404, ids["1.0.0"], "show", "heat_templates", ids["1.0.0"], "--id")
    shell.alice.done("activate", "images", name)
    shell.admin.done("publish", "images", name)
    assert shell.bob.fields("show", "images", name)["id"] == ids["2.0.0"]
    other = shell.bob.fields("create", "images", name, "-V", "2.0.0")["id"]
    ended = shell.bob.run("show", "images", name)
    assert ended.status == 1
    assert f"Artifact: {ids['2.0.0']}, owner: wonderland, visibility: public" in ended.err
    assert f"Artifact: {other}, owner: builders, visibility: private" in ended.err


@pytest.mark.drives("update")
def test_an_artifact_is_updated(shell: Shell, name: str) -> None:
    """Fields of all shapes are set and removed, and keys of dicts too; what may not be changed is refused and stays."""
    words = ("-p", "description=old", "-p", "os_distro=plan9", "-d", "metadata=a:1,b:2")
    image = shell.alice.fields("create", "images", name, *IMAGE, *words)["id"]
    changed = shell.alice.fields(
        *("update", "images", name, "-p", "min_disk=7", "-l", "tags=x,y", "-r", "metadata/a"),
        *("-r", "os_distro", "-r", "description"),
    )
    assert (changed["min_disk"], sorted(changed["tags"]), changed["metadata"]) == (7, ["x", "y"], {"b": "2"})
    assert (changed["os_distro"], changed["description"], changed["id"]) == (None, None, image)
    changed = shell.alice.fields("update", "images", image, "--id", "-d", "metadata=c:3")
    assert changed["metadata"] == {"c": "3"}
    shell.alice.refused(400, "min_disk", "update", "images", name, "-p", "min_disk=-1")
    shell.alice.refused(403, "owner", "update", "images", name, "-p", "owner=builders")
    shell.bob.refused(404, image, "update", "images", image, "--id", "-p", "min_disk=8")
    shell.alice.done("activate", "images", name)
    shell.alice.refused(403, "min_disk", "update", "images", name, "-p", "min_disk=8")
    assert shell.alice.fields("update", "images", name, "-p", "description=new")["description"] == "new"
    assert shell.alice.fields("show", "images", name)["min_disk"] == 7
    shell.admin.done("publish", "images", name)
    for person, said in ((shell.alice, "artifact:update"), (shell.bob, "another project")):
        person.refused(403, said, "update", "images", image, "--id", "-p", "description=mine")


@pytest.mark.drives("upload", "download")
def test_files_go_up_and_come_back(shell: Shell, name: str) -> None:
    """What is uploaded from a file or a pipe is shown with its digests, and downloaded, byte for byte, to a file or a
    pipe.
    """
    shell.alice.done("create", "images", name)
    blob = shell.alice.table("upload", "images", name, "--file", shell.file("image.raw", BINARY), "--progress")
    assert blob == {
        "blob_property": "image",
        "content_type": "application/octet-stream",
        "external": False,
        "status": "active",
        "url": blob["url"],
        **digests(BINARY),
    }
    shell.alice.done("download", "images", name, "--file", "copy.raw", "--progress")
    assert (shell.folder / "copy.raw").read_bytes() == BINARY
    assert shell.alice.done("download", "images", name) == BINARY

    shell.alice.done("create", "heat-template", name)
    words = ("heat-template", name, "-p", "nested_templates/one.yaml")
    blob = shell.alice.table("upload", *words, "-C", "text/yaml", stdin=BINARY[::-1])
    assert {key: blob[key] for key in digests(b"")} == digests(BINARY[::-1])
    assert (blob["blob_property"], blob["content_type"]) == ("nested_templates/one.yaml", "text/yaml")
    assert shell.admin.done("download", *words) == BINARY[::-1]
    assert shell.alice.table("upload", "heat_template", name, stdin=TEMPLATE)["md5"] == digests(TEMPLATE)["md5"]
    assert shell.alice.done("download", "heat-templates", name) == TEMPLATE


@pytest.mark.drives("upload", "download")
def test_uploads_and_downloads_that_may_not_be_are_refused(shell: Shell, name: str) -> None:
    """No data goes to a field that is no blob, to another project or into what is active; none comes where there is
    none or to strangers.
    """
    image = shell.alice.fields("create", "images", name, *IMAGE)["id"]
    shell.alice.refused(404, "image", "download", "images", name)
    shell.alice.refused(400, "min_ram", "upload", "images", name, "-p", "min_ram", stdin=BINARY)
    shell.bob.refused(404, image, "upload", "images", image, "--id", stdin=BINARY)
    shell.alice.done("upload", "images", name, stdin=BINARY)
    shell.bob.refused(404, image, "download", "images", image, "--id")
    shell.alice.done("activate", "images", name)
    shell.alice.refused(403, "image", "upload", "images", name, stdin=TEMPLATE)
    shell.admin.done("publish", "images", name)
    shell.bob.refused(403, "another project", "upload", "images", name, stdin=TEMPLATE)
    assert shell.bob.done("download", "images", name) == BINARY
    shell.alice.fails("Please specify --blob-property", "upload", "secrets", image, "--id")
    shell.alice.fails("Please specify --blob-property", "download", "secrets", image, "--id")


@pytest.mark.drives("location", "remove-location", "download")
def test_a_location_is_measured_downloaded_and_removed(shell: Shell, name: str, external: Origin) -> None:
    """A location gets the digests that the service measures, and is not downloaded once it has changed; what is refused
    leaves nothing.
    """
    external.put(f"/{name}", BINARY, content_type="image/x-raw")
    image = shell.alice.fields("create", "images", name)["id"]
    url = external.url(f"/{name}")
    false = "0" * 64
    shell.alice.refused(400, "sha256", "location", "images", name, "--url", url, "--sha256", false)
    shell.alice.refused(400, "status 404", "location", "images", name, "--url", external.url("/nothing"))
    shell.bob.refused(404, image, "location", "images", image, "--id", "--url", url)
    assert shell.alice.fields("show", "images", name)["image"] == "None"
    claims = [word for kind in ("md5", "sha1", "sha256") for word in (f"--{kind}", str(digests(BINARY)[kind]))]
    blob = shell.alice.table("location", "images", name, "--url", url, *claims)
    assert blob == {
        "blob_property": "image",
        "content_type": "image/x-raw",
        "external": True,
        "status": "active",
        "url": url,
        **digests(BINARY),
    }
    assert shell.alice.done("download", "images", name) == BINARY
    external.put(f"/{name}", BINARY[::-1], content_type="image/x-raw")
    shell.alice.refused(502, "no wrong byte was sent", "download", "images", name)
    shell.bob.refused(404, image, "remove-location", "images", image, "--id")
    # The command removes the location, and then cannot show the nothing that is left: so it is in 0.5.3 on every
    # Python.
    ended = shell.alice.run("remove-location", "images", name)
    assert (ended.status, "HTTP" in ended.err) == (1, False), ended
    assert shell.alice.fields("show", "images", name)["image"] == "None"
    shell.alice.refused(404, "image", "remove-location", "images", name)


@pytest.mark.drives("activate", "deactivate", "reactivate", "publish")
def test_an_artifact_lives_its_life(shell: Shell, name: str) -> None:
    """Owners activate what is complete; only administrators deactivate, reactivate and publish; other orders are
    refused.
    """
    shell.alice.done("create", "heat_templates", name)
    shell.alice.refused(403, "template", "activate", "heat_templates", name)
    shell.alice.done("upload", "heat_templates", name, stdin=TEMPLATE)
    shell.admin.refused(403, "activate the artifact first", "publish", "heat_templates", name)
    active = shell.alice.fields("activate", "heat_templates", name)
    assert active["status"] == "active"
    assert active["activated_at"]
    for command in ("deactivate", "publish"):
        shell.alice.refused(403, f"artifact:{command}", command, "heat_templates", name)
    assert shell.admin.fields("deactivate", "heat_templates", name)["status"] == "deactivated"
    shell.alice.refused(403, "artifact:download", "download", "heat_templates", name)
    shell.alice.refused(403, "artifact:reactivate", "reactivate", "heat_templates", name)
    assert shell.admin.fields("reactivate", "heat_templates", name)["status"] == "active"
    shell.bob.refused(404, active["id"], "activate", "heat_templates", active["id"], "--id")
    published = shell.admin.fields("publish", "heat_templates", name)
    assert (published["visibility"], published["owner"], published["id"]) == ("public", "wonderland", active["id"])
    for person, said in ((shell.alice, "artifact:update"), (shell.bob, "another project")):
        person.refused(403, said, "deactivate", "heat_templates", name)


@pytest.mark.drives("add tag", "remove tag")
def test_tags_come_and_go(shell: Shell, name: str) -> None:
    """A tag is there once however often it is added, and is removed; tags of others cannot be changed."""
    image = shell.alice.fields("create", "images", name, "-l", "tags=red")["id"]
    for _ in range(2):
        assert sorted(shell.alice.fields("add tag", "images", name, "green")["tags"]) == ["green", "red"]
    for _ in range(2):
        assert shell.alice.fields("remove tag", "images", name, "red")["tags"] == ["green"]
    shell.alice.refused(400, "remove the character ','", "add tag", "images", name, "no,comma")
    shell.bob.refused(404, image, "add tag", "images", image, "green", "--id")
    shell.bob.refused(404, image, "remove tag", "images", image, "green", "--id")
    assert shell.alice.fields("show", "images", name)["tags"] == ["green"]


@pytest.mark.drives("delete")
def test_an_artifact_is_deleted(shell: Shell, name: str) -> None:
    """Its owner deletes an artifact with its data; nobody else does, and what is public only an administrator."""
    ids = [shell.alice.fields("create", "images", name, "-V", version, *IMAGE)["id"] for version in ("1", "2")]
    shell.alice.done("upload", "images", name, stdin=BINARY)
    shell.bob.refused(404, ids[0], "delete", "images", ids[0], "--id")
    assert shell.alice.done("delete", "images", name) == b""
    shell.alice.refused(404, ids[1], "show", "images", ids[1], "--id")
    shell.alice.refused(404, ids[1], "delete", "images", ids[1], "--id")
    shell.alice.done("activate", "images", name)
    shell.admin.done("publish", "images", name)
    for person, said in ((shell.alice, "artifact:delete"), (shell.bob, "another project")):
        person.refused(403, said, "delete", "images", name)
    shell.admin.done("delete", "images", name, "-V", "1.0.0")
    assert shell.alice.table("list", "images", "-F", f"name={name}") == []


@pytest.mark.drives("help", "complete", "bash-completion", only="glare")
def test_the_shell_explains_itself(shell: Shell) -> None:
    """`glare` lists its commands and options, for people and for their shell."""
    assert b"remove-location" in shell.alice.done("help")
    assert b"--remove-property" in shell.alice.done("help", "update")
    assert b"_glare()" in shell.alice.done("complete")
    assert {b"remove-location", b"--os-glare-url"} <= set(shell.alice.done("bash-completion").split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_real_program_works(commands: Path, service: Server, tmp_path: Path, name: str, program: str) -> None:
    """The installed program, started as a process with options instead of variables, makes an artifact and is refused
    another.
    """
    token, url = ACTORS["alice"], service.url
    options = {
        "openstack": ("--os-auth-type", "admin_token", "--os-token", token, "--os-endpoint", url),
        "glare": ("--os-glare-url", url, "--auth-token", token),
    }[program]

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        args = [str(commands / program), *options, *spelled(program, "create").split(), "images", name, *words]
        return subprocess.run(args, cwd=tmp_path, env=plain_environment(tmp_path), capture_output=True, check=False)

    made = run("-f", "json")
    assert made.returncode == 0, made.stderr
    assert {"Field": "name", "Value": name, "Glare type": "String"} in json.loads(made.stdout)
    refused = run()
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"(HTTP 409)" in refused.stderr
