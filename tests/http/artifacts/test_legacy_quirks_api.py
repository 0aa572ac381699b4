"""The quirks of the original service, by their number in the contract's §18: those that are kept, and those that are
mended.

Quirks of blobs that are mended have their tests beside the blobs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glare.domain.declared import legacy
from support.service import Glare, Json, path_of, running

Unique = Callable[[], str]

SAMPLE = "sample_artifact"


@pytest.fixture
def sample(api: Glare, unique: Unique) -> Json:
    """A drafted artifact of alice's."""
    return api.alice.create(SAMPLE, name=unique(), string_required="x")


EXERCISED = {
    "VERSION_PATTERN": "test_06_schema_oddities",
    "BLOB_PROPERTIES": "test_06_schema_oddities",
    "STATUS_IS_MUTABLE": "test_06_schema_oddities",
    "as_boolean": "test_08_lenient_values",
    "as_text": "test_08_lenient_values",
    "on_read": "test_09_null_resets",
    "is_set": "test_14_empty_containers_count_as_set",
    "without_duplicates": "test_18_duplicate_tags_vanish",
    "VERSIONS_STATUS": "test_01_versions_come_with_300",
    "VERSIONS_LINK": "test_01_versions_come_with_300",
    "EMPTY_CONTENT_TYPE": "test_03_empty_answer_has_a_content_type",
    "SET_QUOTAS_BODY": "test_04_setting_quotas_answers_null",
    "checksum_headers": "test_15_content_md5_is_hex",
}


def test_every_kept_oddity_is_exercised() -> None:
    """Each public name of the compatibility module has a test here that fails without it."""
    public = {
        name
        for name, value in vars(legacy).items()
        if not name.startswith("_") and (name.isupper() or getattr(value, "__module__", "") == legacy.__name__)
    }
    assert public == set(EXERCISED)
    assert set(EXERCISED.values()) <= set(globals())


# Kept.


def test_01_versions_come_with_300(api: Glare) -> None:
    """1: the versions document is a 300, and links to where it always did."""
    for path in ("/", "/versions"):
        answer = api.stranger.request("GET", path)
        assert answer.status_code == 300
        links = [version["links"][0]["href"] for version in answer.json()["versions"]]
        assert links == ["http://docs.openstack.org/"] * 4


@pytest.mark.parametrize("headers", [{}, {"OpenStack-API-Version": "artifact 1.0"}])
def test_02_newer_operations_answer_old_requests(api: Glare, sample: Json, headers: dict[str, str]) -> None:
    """2: quotas and the deletion of blobs, declared 1.1, answer requests of 1.0 or without a version."""
    assert api.admin.request("GET", "/quotas", headers=headers).status_code == 200
    assert api.alice.request("GET", "/project-quotas", headers=headers).status_code == 200
    assert api.alice.request("DELETE", f"{path_of(sample)}/blob", headers=headers).status_code == 404


def test_03_empty_answer_has_a_content_type(api: Glare, sample: Json) -> None:
    """3: a 204 names a content type."""
    answer = api.alice.delete(sample)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"


def test_04_setting_quotas_answers_null(api: Glare) -> None:
    """4: PUT /quotas answers with the document null."""
    assert api.admin.request("PUT", "/quotas", json=[]).content == b"null"


def test_05_upload_over_an_active_blob(api: Glare, sample: Json) -> None:
    """5: uploading over a blob replaces it and is 200."""
    api.alice.upload(sample, "blob", b"first")
    assert api.alice.try_upload(sample, "blob", b"second").status_code == 200
    assert api.alice.download(sample, "blob").content == b"second"


def test_06_schema_oddities(api: Glare) -> None:
    """6: blobs have no `url` in the schema though shown with one, versions are between slashes, status is mutable."""
    fields = api.alice.request("GET", f"/schemas/{SAMPLE}").json()["schemas"][SAMPLE]["properties"]
    assert "url" not in fields["blob"]["properties"]
    assert len(fields["blob"]["properties"]) == 7
    assert fields["blob"]["additionalProperties"] is False
    assert fields["version"]["pattern"].startswith("/^")
    assert fields["version"]["pattern"].endswith("$/")
    assert fields["status"]["mutable"] is True
    assert "enum" in fields["status"]


def test_07_incomplete_activation_is_403(api: Glare, unique: Unique) -> None:
    """7: a missing required field forbids activation, rather than making it a bad request."""
    assert api.alice.set(api.alice.create(SAMPLE, name=unique()), status="active").status_code == 403


@pytest.mark.parametrize(("value", "stored"), [("garbage", False), ([], False), ("T", True), ("on", True), (1, True)])
def test_08_lenient_values(api: Glare, unique: Unique, value: Any, stored: bool) -> None:
    """8: what is no word for true is false; numbers and booleans become text."""
    assert api.alice.create(SAMPLE, name=unique(), bool1=value)["bool1"] is stored
    assert api.alice.create(SAMPLE, name=unique(), str1=1.0)["str1"] == "1.0"
    assert api.alice.create(SAMPLE, name=unique(), str1=True)["str1"] == "True"


def test_09_null_resets(api: Glare, unique: Unique) -> None:
    """9: null brings a field's default back; the description alone becomes null."""
    given = {
        "metadata_attribute": "x",
        "tags": ["t"],
        "bool1": True,
        "str1": "s",
        "description": "d",
        "metadata": {"a": "b"},
    }
    artifact = api.alice.create(SAMPLE, name=unique(), **given)
    after = api.alice.set(artifact, **dict.fromkeys(given)).json()
    for document in (after, api.alice.show(artifact)):
        assert {name: document[name] for name in given} == {
            "metadata_attribute": "default",
            "tags": [],
            "bool1": False,
            "str1": None,
            "description": None,
            "metadata": {},
        }


def test_10_owner_cannot_touch_what_is_public(api: Glare, sample: Json) -> None:
    """10: once public, an artifact is neither edited nor deleted by its owner."""
    api.alice.activate(sample)
    api.admin.publish(sample)
    assert api.alice.set(sample, description="x").status_code == 403
    assert api.alice.delete(sample).status_code == 403


def test_11_lists_sort_downwards(api: Glare, unique: Unique) -> None:
    """11: a sort without a direction is descending, and an unknown parameter is 400."""
    owner = api.actor(f"u:{unique()}:")
    for name in "abc":
        owner.create("images", name=name)
    assert owner.names("images", "sort=name") == ["c", "b", "a"]
    assert owner.request("GET", "/artifacts/images?colour=red").status_code == 400


def test_12_full_last_page_has_a_next(api: Glare, unique: Unique) -> None:
    """12: a full page has a `next`, though nothing follows."""
    owner = api.actor(f"u:{unique()}:")
    owner.create("images", name="a")
    assert "next" in owner.page("images", "limit=1")


def test_13_latest_ignores_owner_and_type(api: Glare, unique: Unique) -> None:
    """13: `latest` looks at names only: among visible artifacts of a name the highest version wins."""
    name = unique()
    api.actor("u:old:").create("images", name=name, version="1")
    api.actor("u:new:").create("images", name=name, version="3")
    api.actor("u:new:").create("murano_packages", name=name, version="2")
    query = f"name={name}&version=latest"
    assert [one["owner"] for one in api.admin.page("images", query)["artifacts"]] == ["new"]
    assert [one["type_name"] for one in api.admin.page("all", query)["artifacts"]] == ["images"]


def test_14_empty_containers_count_as_set(api: Glare, unique: Unique) -> None:
    """14: empty required lists, dicts and folders do not forbid activation."""
    package = api.alice.create("murano_packages", name=unique(), display_name="x")
    assert (package["categories"], package["inherits"]) == ([], {})
    assert api.alice.set(package, status="active").status_code == 200


def test_15_content_md5_is_hex(api: Glare, sample: Json) -> None:
    """15: Content-MD5 holds hexadecimal digits, and two headers the other digests."""
    api.alice.upload(sample, "blob", b"data")
    headers = api.alice.download(sample, "blob").headers
    assert headers["content-md5"] == hashlib.md5(b"data").hexdigest()
    assert headers["x-openstack-glare-content-sha1"] == hashlib.sha1(b"data").hexdigest()
    assert headers["x-openstack-glare-content-sha256"] == hashlib.sha256(b"data").hexdigest()


def test_16_one_sort_key_of_the_type(api: Glare) -> None:
    """16: two sort keys of the type's own are 400, one with base fields is fine."""
    assert api.alice.request("GET", f"/artifacts/{SAMPLE}?sort=int1,str1").status_code == 400
    assert api.alice.request("GET", f"/artifacts/{SAMPLE}?sort=name,int1,version").status_code == 200


def test_18_duplicate_tags_vanish(api: Glare, unique: Unique) -> None:
    """18: duplicate tags are removed without a word."""
    assert api.alice.create("images", name=unique(), tags=["b", "a", "b"])["tags"] == ["b", "a"]


def test_19_type_in_a_link_is_not_looked_at(api: Glare, sample: Json, unique: Unique) -> None:
    """19: a link may name any type; the id decides."""
    link = f"/artifacts/no_such_type/{sample['id']}"
    assert api.alice.create(SAMPLE, name=unique(), link1=link)["link1"] == link


def test_46_dicts_are_filtered_by_key(api: Glare) -> None:
    """46: keys of dicts are found by eq and in only, and those with dots not at all."""
    for query, status in (("=eq:k", 200), ("=in:k,l", 200), ("=neq:k", 400), (".a.b=x", 400)):
        assert api.alice.request("GET", f"/artifacts/{SAMPLE}?dict_of_str{query}").status_code == status


def test_53_four_byte_characters(api: Glare, unique: Unique) -> None:
    """53: refused in names and single texts, kept in lists."""
    assert api.alice.try_create(SAMPLE, name="\U0001f600").status_code == 400
    assert api.alice.create(SAMPLE, name=unique(), list_of_str=["\U0001f600"])["list_of_str"] == ["\U0001f600"]


# Mended.


def test_20_21_errors_are_alike(api: Glare) -> None:
    """20, 21: errors have one shape whatever is accepted, with the version headers and a request id."""
    for accept in ("text/html", "application/json", "*/*"):
        answer = api.alice.request("GET", "/nowhere", headers={"Accept": accept})
        assert answer.json()["error"]["message"]
        assert answer.headers["openstack-api-version"] == "artifact 1.0"
        assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_26_links_outlive_their_targets(api: Glare, unique: Unique) -> None:
    """26: when the target of a link is deleted, the artifact that links to it works on; only new links are checked."""
    target = api.alice.create("images", name=unique())
    link = f"/artifacts/images/{target['id']}"
    name = unique()
    artifact = api.alice.create(SAMPLE, name=name, string_required="x", link1=link, list_of_links=[link])
    api.alice.delete(target)
    assert api.alice.show(artifact)["link1"] == link
    assert api.alice.names(SAMPLE, f"name={name}") == [name]
    assert api.alice.names("all", f"name={name}") == [name]
    assert api.alice.set(artifact, description="x").status_code == 200
    assert api.alice.set(artifact, link1=link).status_code == 200
    assert api.alice.set(artifact, link2=link).status_code == 400
    appended = {"op": "add", "path": "/dict_of_links/a", "value": link}
    assert api.alice.patch(artifact, appended).status_code == 400
    assert api.alice.set(artifact, status="active").status_code == 200
    assert api.alice.delete(artifact).status_code == 204


def test_29_no_way_back_to_drafted(api: Glare, sample: Json) -> None:
    """29: active to drafted is forbidden, not a bad request."""
    api.alice.activate(sample)
    assert api.alice.set(sample, status="drafted").status_code == 403


def test_30_tests_and_moves(api: Glare, sample: Json) -> None:
    """30: `test` may look at anything; moves of whole fields and paths that are none are 400."""
    api.alice.activate(sample)
    for path, value in (
        ("/id", sample["id"]),
        ("/name", sample["name"]),
        ("/blob", None),
        ("/system_attribute", "default"),
    ):
        assert api.alice.patch(sample, {"op": "test", "path": path, "value": value}).status_code == 200
    wrong: list[Json] = [
        {"op": "move", "from": "/string_mutable", "path": "/description"},
        {"op": "add", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "test", "path": "", "value": {}},
    ]
    for operation in wrong:
        assert api.alice.patch(sample, operation).status_code == 400


@pytest.mark.parametrize("version", ["65536.0.0", "1.0.99999", "1.0.0-1000000", "9" * 400])
def test_34_huge_versions_are_400(api: Glare, sample: Json, unique: Unique, version: str) -> None:
    """34: parts of versions beyond their limits are refused, in filters as well."""
    assert api.alice.try_create(SAMPLE, name=unique(), version=version).status_code == 400
    assert api.alice.set(sample, version=version).status_code == 400
    assert api.alice.request("GET", f"/artifacts/{SAMPLE}?version=gt:{version}").status_code == 400


@pytest.mark.parametrize("value", [2**63, "9" * 30, 1e300])
def test_35_huge_integers_are_400(api: Glare, sample: Json, value: Any) -> None:
    """35: integers that the database cannot hold are refused."""
    assert api.alice.set(sample, int1=value).status_code == 400


def test_36_ids_may_be_anything(api: Glare) -> None:
    """36: an id of any characters is a missing artifact."""
    assert api.alice.request("GET", "/artifacts/images/größe").status_code == 404


def test_38_quotas_of_projects_without_records(api: Glare, unique: Unique) -> None:
    """38: a project without records reads the global values; a caller without a project is refused."""
    project = unique()
    (entry,) = api.actor(f"u:{project}:").request("GET", "/project-quotas").json()
    assert entry["project_id"] == project
    assert {record["quota_value"] for record in entry["project_quotas"]} == {-1}
    assert api.anonymous.request("GET", "/project-quotas").status_code == 403


def test_40_links_keep_repeated_parameters(api: Glare, unique: Unique) -> None:
    """40: `first` and `next` repeat what was repeated."""
    owner = api.actor(f"u:{unique()}:")
    owner.create("images", name="a", min_ram=5)
    page = owner.page("images", "min_ram=gt:1&min_ram=lt:9&limit=1")
    assert page["first"] == "/artifacts/images?min_ram=gt%3A1&min_ram=lt%3A9&limit=1"
    assert page["next"].startswith(page["first"] + "&marker=")


def test_41_walks_over_nulls_and_builds(api: Glare, unique: Unique) -> None:
    """41: paging over missing values, and over versions that differ in build only, loses nothing."""
    name = unique()
    owner = api.actor(f"u:{name}:")
    for number in range(3):
        owner.create(SAMPLE, name=name, version=f"1.0.0+{number}", **({"int1": 1} if number == 1 else {}))
    for sort in ("version:asc", "version", "int1:asc", "int1", "activated_at:asc", "activated_at"):
        path, seen = f"/artifacts/{SAMPLE}?name={name}&limit=1&sort={sort}", []
        while path:
            page = owner.request("GET", path).json()
            seen += [artifact["version"] for artifact in page["artifacts"]]
            path = page.get("next", "")
        assert sorted(seen) == ["1.0.0+0", "1.0.0+1", "1.0.0+2"]


def test_42_nothing_vanishes(api: Glare, unique: Unique) -> None:
    """42: artifacts without a value sort last; an `or:` over a type's fields finds those without any value too."""
    name = unique()
    owner = api.actor(f"u:{name}:")
    mine = f"owner={name}"
    owner.create(SAMPLE, name="none")
    owner.create(SAMPLE, name="some", int1=1)
    for sort in ("int1:asc", "int1:desc"):
        assert owner.names(SAMPLE, f"{mine}&sort={sort}") == ["some", "none"]
    assert sorted(owner.names(SAMPLE, f"{mine}&int1=or:1&name=or:none")) == ["none", "some"]


def test_44_dates_heed_their_offset(api: Glare, unique: Unique) -> None:
    """44: a date in a filter means its instant, wherever it was written."""
    owner = api.actor(f"u:{unique()}:")
    created = owner.create("images", name="a")["created_at"]
    assert owner.names("images", f"created_at=lt:{created.replace('Z', '-01:00')}") == ["a"]
    assert owner.names("images", f"created_at=gt:{created.replace('Z', '%2B01:00')}") == ["a"]


def test_45_disabled_types_do_not_break_all(tmp_path: Path) -> None:
    """45: artifacts of a type that is not enabled any more are left out of `all`."""
    with running(tmp_path) as glare:
        glare.alice.create("images", name="image")
    with running(tmp_path, "[DEFAULT]\nenabled_artifact_types = heat_templates\n") as glare:
        assert glare.alice.names("all") == []


def test_47_method_before_body(api: Glare) -> None:
    """47: a wrong method is 405 whatever the body."""
    answer = api.alice.request("PUT", "/schemas", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 405


def test_48_token_decides_the_project(api: Glare, unique: Unique) -> None:
    """48: a header cannot move a caller into another project."""
    answer = api.alice.request(
        "POST", "/artifacts/images", json={"name": unique()}, headers={"X-Project-Id": "builders"}
    )
    assert answer.json()["owner"] == "wonderland"


def test_52_long_parts_are_400(api: Glare, sample: Json, unique: Unique) -> None:
    """52: what columns cannot hold is refused; quota names may be as long as the contract says."""
    for version in (f"1.0.0-{'a' * 256}", f"1.0.0+{'b' * 256}"):
        assert api.alice.try_create(SAMPLE, name=unique(), version=version).status_code == 400
        assert api.alice.set(sample, version=version).status_code == 400
    record = {"quota_name": "max_artifact_number:heat_templates", "quota_value": 1}
    body = [{"project_id": unique(), "project_quotas": [record]}]
    assert api.admin.request("PUT", "/quotas", json=body).status_code == 200
