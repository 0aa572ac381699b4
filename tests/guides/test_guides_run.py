"""README, tutorials and how-tos are run as they are written, each by a reader who starts in an empty directory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from keystone_environment import ADMIN_PASSWORD
from support.programs.pages import ROOT, Reader, Scene, blocks_of, matches

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(600)]

HOW_TO = ROOT / "docs" / "how-to"
TUTORIAL = ROOT / "docs" / "tutorial"
QUICKSTART = "glare-server serve --quickstart"
OPEN = {"OS_LOCATIONS__ALLOWED_NETWORKS": "127.0.0.0/8", "OS_LOCATIONS__ALLOWED_PORTS": "8000,8001,8002"}
HERE = "export GLARE=http://127.0.0.1:9494\nexport TOKEN=…\n"
ADMIN = "export ADMIN=$(glare-server token create --project admin --user admin --role admin)\n"
ARTIFACT = r"""
api() { curl -s -H "X-Auth-Token: $TOKEN" "$@"; }
id_of() { python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }
export ID=$(api -H 'Content-Type: application/json' $GLARE/artifacts/images \
  -d '{"name": "cirros", "version": "0.6.2", "container_format": "bare", "disk_format": "raw"}' | id_of)
"""
ACTIVE = r"""
activate() { api -X PATCH -H 'Content-Type: application/json-patch+json' $GLARE/artifacts/images/$1 \
  -d '[{"op": "replace", "path": "/status", "value": "active"}]' > activated.json; }
"""
MIRROR = """
head -c 3000000 /dev/urandom > cirros.img
python3 -m http.server 8000 --bind 127.0.0.1 > mirror.log 2>&1 &
until curl -s http://127.0.0.1:8000/ > listing.html; do sleep 0.1; done
"""
LOCATED = r"""
api -X PUT -H 'Content-Type: application/vnd+openstack.glare-custom-location+json' \
  -d '{"url": "http://127.0.0.1:8000/cirros.img"}' $GLARE/artifacts/images/$ID/image > located.json
activate $ID
"""
STORED = r"""
head -c 3000 /dev/urandom > disk.img
api -T disk.img -H 'Content-Type: application/octet-stream' $GLARE/artifacts/images/$ID/image > uploaded.json
activate $ID
"""
OPERATED = r"""
export ADMIN=$(glare-server token create --project admin --user admin --role admin --config-file glare.conf)
export CI=$(glare-server token create --project acme --user ci --role member --config-file glare.conf)
api -X DELETE $GLARE/artifacts/images/$ID
TOKEN=$CI
head -c 227 /dev/urandom > disk.img
ID=$(api -H 'Content-Type: application/json' $GLARE/artifacts/images \
  -d '{"name": "one", "container_format": "bare", "disk_format": "raw"}' | id_of)
api -T disk.img -H 'Content-Type: application/octet-stream' $GLARE/artifacts/images/$ID/image > uploaded.json
activate $ID
api $GLARE/quotas > refused.json
sleep 1.5
"""
LOGGED_IN = {
    "OS_AUTH_URL": "http://127.0.0.1:5000/v3",
    "OS_USERNAME": "admin",
    "OS_PASSWORD": ADMIN_PASSWORD,
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
}
RECEIVER = next(block.text for block in blocks_of(HOW_TO / "subscribe-to-events.md") if block.kind == "python")

SCENES = {
    ROOT / "README.md": Scene(refused={"403": 1, "broken off": 1}),
    TUTORIAL / "mirror-an-image.md": Scene(files={"receiver.py": RECEIVER}, needs=("curl", "openssl")),
    HOW_TO / "keep-replicas.md": Scene(
        replaced={"https://mirror.example.org/cirros.img": "http://127.0.0.1:8000/cirros.img"},
        serve=QUICKSTART,
        variables=OPEN,
        given=HERE + ARTIFACT + MIRROR,
        needs=("curl", "aria2c"),
    ),
    HOW_TO / "promote-a-location.md": Scene(
        serve=QUICKSTART, variables=OPEN, given=HERE + ARTIFACT + ACTIVE + MIRROR + LOCATED + "export IMAGE=$ID\n"
    ),
    HOW_TO / "watch-locations.md": Scene(
        serve=QUICKSTART,
        variables=OPEN,
        given=HERE
        + ARTIFACT
        + ACTIVE
        + MIRROR
        + LOCATED
        + "ID=$(glare-server locations list | awk 'NR == 2 {print $1}')\n",
    ),
    HOW_TO / "give-a-link.md": Scene(serve=QUICKSTART, given=HERE + ARTIFACT + ACTIVE + STORED, refused={"404": 1}),
    HOW_TO / "take-down-content.md": Scene(serve=QUICKSTART, given=HERE + ADMIN),
    HOW_TO / "subscribe-to-events.md": Scene(
        replaced={"https://hooks.example.org/glare": "http://127.0.0.1:8000/"},
        serve=QUICKSTART,
        variables={**OPEN, "OS_SUBSCRIPTIONS__ALLOWED_SCHEMES": "http", "OS_SUBSCRIPTIONS__ALLOWED_PORTS": "8000"},
        given=HERE,
    ),
    HOW_TO / "sign-in-with-oidc.md": Scene(),
    HOW_TO / "publish-from-builds.md": Scene(
        replaced={"/etc/glare/glare.conf": "glare.conf"},
        serve=f"{QUICKSTART} --config-file glare.conf",
        files={
            "glare.conf": "[identity]\npipeline = token_file, oidc\n[oidc]\nissuers = issuers.toml\n",
            "issuers.toml": next(block.text for block in blocks_of(HOW_TO / "publish-from-builds.md")),
            "cluster-keys.json": '{"keys": []}',
        },
        given=f"{HERE}export MANAGER=$(glare-server token create --project demo --user mia --role manager)\n",
    ),
    HOW_TO / "use-api-tokens.md": Scene(
        replaced={"https://glare.example.org": "http://127.0.0.1:9494"},
        serve=QUICKSTART,
        given="export TOKEN=$(glare-server token create --project acme --user mia --role manager --role member)\n",
    ),
    HOW_TO / "write-your-own-type.md": Scene(),
    HOW_TO / "add-a-store.md": Scene(),
    HOW_TO / "operate.md": Scene(
        replaced={"/etc/glare/glare.conf": "glare.conf"},
        serve=f"{QUICKSTART} --config-file glare.conf",
        files={"glare.conf": "[DEFAULT]\ndelayed_delete = true\n[scrubber]\nscrub_time = 0\n"},
        given=HERE + ARTIFACT + ACTIVE + OPERATED,
        refused={"403": 1},
    ),
    HOW_TO / "use-the-openstack-client.md": Scene(
        serve=QUICKSTART, given=f"{HERE}head -c 1000 /dev/urandom > cirros.img\n", programs="client"
    ),
    HOW_TO / "use-keystone.md": Scene(
        replaced={"https://keystone.example.org/v3": "http://127.0.0.1:5000/v3"},
        variables=LOGGED_IN,
        programs="client",
        keystone=True,
        ports=("9494", "5000"),
        refused={"401": 1},
    ),
    HOW_TO / "back-up-and-upgrade.md": Scene(),
    HOW_TO / "run-behind-nginx.md": Scene(),
    HOW_TO / "use-s3.md": Scene(),
    HOW_TO / "monitor.md": Scene(),
    HOW_TO / "use-azure.md": Scene(),
    HOW_TO / "use-gcs.md": Scene(),
    HOW_TO / "run-with-systemd.md": Scene(),
    HOW_TO / "trace-requests.md": Scene(),
    HOW_TO / "run-in-containers.md": Scene(),
    HOW_TO / "use-swift.md": Scene(),
}


@pytest.mark.parametrize("page", SCENES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Every command of the page works, and prints what the page shows."""
    directory = tmp_path / "reader"
    directory.mkdir()
    with Reader(directory, SCENES[page]) as reader:
        reader.follow(page)


def test_every_page_has_its_scene() -> None:
    """README, every tutorial and every how-to is run, but for the page that shows what `make demo` prints."""
    pages = {ROOT / "README.md", *TUTORIAL.glob("*.md"), *HOW_TO.glob("*.md")}
    assert pages - set(SCENES) == {TUTORIAL / "main-job.md"}


def test_few_blocks_are_not_run() -> None:
    """What is not run says why, on no page more than three; and what another test runs is named after a test that reads
    the page.
    """
    skipped = []
    for page in SCENES:
        for block in blocks_of(page):
            if block.mark == "not run":
                assert len(block.value.split()) >= 5, f"{page.name}:{block.line}"
                skipped.append(f"{page.name}:{block.line}: {block.value}")
            if block.mark == "run by":
                assert page.name in (ROOT / block.value).read_text("utf-8"), f"{page.name}:{block.line}"
    assert max(Counter(said.partition(":")[0] for said in skipped).values()) <= 3, "\n".join(skipped)


def test_pages_are_compared_with_what_came() -> None:
    """Times differ, ids differ but stay the same ones, `…` and `...` stand for anything, and other text is found."""
    page = (
        "id 7d5aa6bd4ad24aec92b5c1641c256c6d  at 2026-11-23T05:40:48Z\n...\nagain 7d5aa6bd4ad24aec92b5c1641c256c6d, …"
    )
    first, other = "a" * 32, "b" * 32
    came = "id {}  at 2027-01-01T00:00:00Z\nbetween\nagain {}, and so on\n"
    assert matches(page, came.format(first, first), {})
    assert not matches(page, came.format(first, other), {})
    assert not matches(page, came.format(first, first).replace("again", "once more"), {})
    assert not matches(page, came.format(first, first) + "more\n", {})
    assert matches("b\na", "a\nb\n", {}, unordered=True)
    assert not matches("b\na", "a\nb\n", {})
