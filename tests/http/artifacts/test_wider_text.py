"""Since microversion 1.3 text of any character is taken, and what a type does not limit itself may be longer. Older
requests are as ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from support.service import BYTES, PATCH, ActorClient, Glare, Json, path_of, running

NEW = {"OpenStack-API-Version": "artifact 1.3"}
OLD = ["1.0", "1.1", "1.2"]
SMILE = "a \U0001f600 and \U0010ffff"
SIGNATURE = "x" * 344
TAGS = [f"tag-{number:04}" for number in range(1000)]

WIDER: dict[str, dict[str, Any]] = {
    "a character above U+FFFF in a name": {"name": f"name {SMILE}"},
    "in a description": {"description": SMILE},
    "in a text": {"str1": SMILE},
    "in a key": {"metadata": {SMILE: "x"}},
    "in a value": {"metadata": {"key": SMILE}},
    "a signature": {"metadata": {"img_signature": SIGNATURE}},
    "many tags": {"tags": TAGS},
    "a long tag": {"tags": ["t" * 4096]},
    "many keys": {"metadata": {f"key{number}": "x" for number in range(2000)}},
    "many texts": {"list_of_str": ["x"] * 2000},
    "a long text in a list": {"list_of_str": ["x" * 4096]},
    "a long text in a dict": {"dict_of_str": {"a": "x" * 4096}},
}

REFUSED: dict[str, dict[str, Any]] = {
    "a name that is too long for a list": {"name": "n" * 256},
    "a longer text": {"metadata": {"a": "x" * 4097}},
    "a longer tag": {"tags": ["x" * 4097]},
    "more tags": {"tags": [str(number) for number in range(2001)]},
    "a longer key": {"metadata": {"k" * 256: "x"}},
    "a text of a length of its own": {"description": "x" * 4097},
    "a NUL": {"description": "\0"},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("wider")) as service:
        yield service
        assert service.leftovers() == {}


def create(who: ActorClient, fields: Json, version: str = "1.3") -> Any:
    headers = {"OpenStack-API-Version": f"artifact {version}"}
    return who.request("POST", "/artifacts/sample_artifact", json=fields, headers=headers)


@pytest.mark.parametrize("fields", WIDER.values(), ids=WIDER.keys())
def test_what_was_refused_for_old_clients_is_taken_and_shown_whole(api: Glare, fields: dict[str, Any]) -> None:
    """It is stored and shown as it was sent, to every version: nothing is cut off, and nothing left out."""
    wanted = {"name": f"{hash(str(fields))}", **fields}
    answer = create(api.alice, wanted)
    assert answer.status_code == 201, answer.text
    made = answer.json() | {"type_name": "sample_artifact"}
    for version in (*OLD, "1.3"):
        document = api.alice.get(made, headers={"OpenStack-API-Version": f"artifact {version}"}).json()
        assert {name: document[name] for name in wanted} == wanted
    assert api.alice.delete(made).status_code == 204


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("fields", WIDER.values(), ids=WIDER.keys())
def test_older_requests_are_refused_as_ever(api: Glare, fields: dict[str, Any], version: str) -> None:
    """Before 1.3 it is 400, and the sentence says which version would take it."""
    answer = create(api.alice, {"name": "old", **fields}, version)
    assert answer.status_code == 400
    assert "or make the request with API version 1.3" in answer.json()["error"]["message"]


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_limits_stay(api: Glare, fields: dict[str, Any]) -> None:
    """What lists are sorted by stays short, what a type limits stays so, and there is a limit for the rest."""
    answer = create(api.alice, {"name": "limited", **fields})
    assert answer.status_code == 400
    assert "API version" not in answer.json()["error"]["message"]


def test_limits_are_settings(tmp_path: Path) -> None:
    """The operator says how long texts and lists may be; schemas say the same."""
    with running(tmp_path, "[api]\nmax_text_length = 300\nmax_items = 256\n") as glare:
        for fields, status in (
            ({"metadata": {"a": "x" * 300}}, 201),
            ({"metadata": {"a": "x" * 301}}, 400),
            ({"tags": TAGS[:256]}, 201),
            ({"tags": TAGS[:257]}, 400),
        ):
            assert create(glare.alice, {"name": str(fields)[:50] + str(status), **fields}).status_code == status
        schema = glare.alice.request("GET", "/schemas/images", headers=NEW).json()
        properties = schema["schemas"]["images"]["properties"]
        assert (properties["tags"]["maxItems"], properties["metadata"]["additionalProperties"]["maxLength"]) == (
            256,
            300,
        )


def test_schemas_are_those_of_the_version(api: Glare) -> None:
    """Each version reads the limits that hold for it."""
    seen = {}
    for version in (*OLD, "1.3"):
        headers = {"OpenStack-API-Version": f"artifact {version}"}
        answer = api.alice.request("GET", "/schemas/images", headers=headers).json()
        properties = answer["schemas"]["images"]["properties"]
        seen[version] = (
            properties["name"]["maxLength"],
            properties["tags"]["maxItems"],
            properties["tags"]["items"]["maxLength"],
            properties["metadata"]["maxProperties"],
            properties["metadata"]["additionalProperties"]["maxLength"],
        )
    assert seen == {**dict.fromkeys(OLD, (255, 255, 255, 255, 255)), "1.3": (255, 2000, 4096, 2000, 4096)}


def test_wider_values_are_found_and_sorted(api: Glare) -> None:
    """Filters take them, and lists sort by code point above U+FFFF too."""
    who = api.actor("w:wide:member")
    names = ["\uffee", "\U0001f600", "\U0001f601", "z"]
    for number, name in enumerate(names):
        fields = {"name": name, "tags": [f"t{number}-{SMILE}"], "metadata": {"img_signature": f"{number}{SIGNATURE}"}}
        assert create(who, fields).status_code == 201

    def found(**query: str) -> list[str]:
        answer = who.request("GET", f"/artifacts/sample_artifact?{urlencode(query)}", headers=NEW)
        assert answer.status_code == 200, answer.text
        return [artifact["name"] for artifact in answer.json()["artifacts"]]

    assert found(sort="name:asc") == ["z", "\uffee", "\U0001f600", "\U0001f601"]
    assert found(name="\U0001f600") == ["\U0001f600"]
    assert found(name="like:\U0001f600%") == ["\U0001f600"]
    assert found(tags=f"t1-{SMILE}") == ["\U0001f600"]
    assert found(**{"metadata.img_signature": f"2{SIGNATURE}"}) == ["\U0001f601"]


def test_older_requests_change_what_they_can(api: Glare) -> None:
    """Somebody at 1.0 changes other fields of such an artifact, and may replace a container by a smaller one; to add to
    it they need 1.3.
    """
    made = create(api.alice, {"name": "changed", "tags": TAGS, "metadata": {"a": SIGNATURE}}).json()
    made["type_name"] = "sample_artifact"

    def change(operation: Json, version: str) -> int:
        headers = {"Content-Type": PATCH, "OpenStack-API-Version": f"artifact {version}"}
        content = json.dumps([operation]).encode()
        return api.alice.request("PATCH", path_of(made), content=content, headers=headers).status_code

    assert change({"op": "replace", "path": "/description", "value": "old"}, "1.0") == 200
    assert change({"op": "add", "path": "/tags/-", "value": "one more"}, "1.0") == 400
    assert change({"op": "add", "path": "/tags/-", "value": "one more"}, "1.3") == 200
    assert change({"op": "add", "path": "/metadata/b", "value": "x"}, "1.2") == 400
    assert change({"op": "replace", "path": "/tags", "value": ["few"]}, "1.0") == 200
    document = api.alice.show(made)
    assert (document["description"], document["tags"], document["metadata"]) == ("old", ["few"], {"a": SIGNATURE})


def test_keys_of_folders_hold_any_character(api: Glare) -> None:
    """A blob under such a key is uploaded since 1.3, and read by every version that knows its address."""
    made = create(api.alice, {"name": "folder"}).json() | {"type_name": "sample_artifact"}
    address = f"{path_of(made)}/dict_of_blobs/{quote(SMILE)}"
    upload = {"Content-Type": BYTES, "OpenStack-API-Version": "artifact 1.2"}
    assert api.alice.request("PUT", address, content=b"data", headers=upload).status_code == 400
    answer = api.alice.request("PUT", address, content=b"data", headers=upload | NEW)
    assert answer.status_code == 200, answer.text
    for version in (*OLD, "1.3"):
        headers = {"OpenStack-API-Version": f"artifact {version}"}
        assert SMILE in api.alice.get(made, headers=headers).json()["dict_of_blobs"]
        assert api.alice.request("GET", address, headers=headers).content == b"data"


def test_quotas_name_projects_of_any_character(api: Glare) -> None:
    """Since 1.3 a project may be called anything; a NUL, which no database holds, is refused in a sentence."""
    body = [{"project_id": SMILE, "project_quotas": [{"quota_name": "max_artifact_number", "quota_value": 3}]}]
    assert api.admin.request("PUT", "/quotas", json=body).status_code == 400
    assert api.admin.request("PUT", "/quotas", json=body, headers=NEW).status_code == 200
    assert SMILE in {entry["project_id"] for entry in api.admin.request("GET", "/quotas").json()["quotas"]}
    body[0]["project_id"] = "a\0b"
    assert api.admin.request("PUT", "/quotas", json=body, headers=NEW).status_code == 400


def test_reasons_of_takedowns_hold_any_character(api: Glare) -> None:
    """They never existed for old clients, so every version takes them."""
    body = {"kind": "host", "value": "wide.example", "reason": SMILE}
    answer = api.admin.request("POST", "/takedowns", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["reason"] == SMILE
    assert api.admin.request("DELETE", f"/takedowns/{answer.json()['id']}").status_code == 204
