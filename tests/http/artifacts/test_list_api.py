"""GET /artifacts/T: filters, sorting, paging and links, as clients write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from support.runs.clock import Clock
from support.service import ActorClient, Glare, Json, running

SAMPLE = "sample_artifact"

# Label → what it is created with. One minute passes between two of them, from midnight on.
CATALOGUE: dict[str, Json] = {
    "a1": {
        "name": "alpha",
        "version": "1.0.0",
        "str1": "Red",
        "int1": 1,
        "float1": 1.5,
        "bool1": True,
        "tags": ["x", "y"],
        "list_of_str": ["p", "q"],
        "list_of_int": [1, 2],
        "metadata": {"m": "1"},
        "dict_of_str": {"k": "v", "a.b": "z"},
        "dict_of_int": {"n": 5},
    },
    "a2": {"name": "alpha", "version": "2.0.0-rc1", "str1": "red", "int1": 2, "float1": -1.5, "tags": ["y"]},
    "a3": {"name": "alpha", "version": "2.0.0+b1", "int1": 10, "list_of_str": ["q"]},
    "a4": {"name": "alpha", "version": "2.0.0+b2", "int1": 10},
    "b1": {"name": "beta", "version": "1.10.0", "str1": "green", "dict_of_str": {"k": "w"}, "tags": ["x", "y", "z"]},
    "b2": {"name": "beta", "version": "1.2.0", "str1": "50%", "metadata": {"m": "2", "o": "1"}},
    "c1": {"name": "a,b", "str1": "2030-01-01T00:00:00", "tags": ["a b"]},
    "c2": {"name": "a:b", "str1": 'say "x"', "list_of_str": ["p", "r"]},
    "c3": {"name": "Ünï", "list_of_int": [2, 3], "string_mutable": ""},
}
ALL = " ".join(CATALOGUE)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service that holds the catalogue."""
    with running(tmp_path_factory.mktemp("lists")) as glare:
        clock = Clock(glare, "2030-01-01T00:00:00Z")
        made = {}
        for label, fields in CATALOGUE.items():
            made[label] = glare.alice.create(SAMPLE, **{**fields, "string_required": label})
            clock.forward(60)
        glare.alice.activate(made["b1"])
        clock.forward(3600)
        link = f"/artifacts/{SAMPLE}/{made['a1']['id']}"
        glare.alice.set(made["c1"], link1=link)
        glare.alice.upload(made["c2"], "dict_of_blobs/some.key", b"data")
        yield glare


def labels(who: ActorClient, query: str, kind: str = SAMPLE) -> str:
    """The labels on the page, in its order."""
    return " ".join(artifact["string_required"] for artifact in who.page(kind, query)["artifacts"])


# Query → labels, oldest first (each query is asked with sort=created_at:asc).
FILTERS: list[tuple[str, str]] = [
    ("", ALL),
    ("name=alpha", "a1 a2 a3 a4"),
    ("name=eq:alpha", "a1 a2 a3 a4"),
    ("name=and:alpha", "a1 a2 a3 a4"),
    ("name=and:eq:alpha", "a1 a2 a3 a4"),
    ("name=neq:alpha", "b1 b2 c1 c2 c3"),
    ("name=in:alpha,beta", "a1 a2 a3 a4 b1 b2"),
    ('name=in:"a,b",beta', "b1 b2 c1"),
    ('name=in:"alpha"', "a1 a2 a3 a4"),
    ("name=in:", ""),
    ("name=in:nothing", ""),
    ("name=a,b", "c1"),
    ("name=eq:a:b", "c2"),
    ('name=in:"a:b"', "c2"),
    ("name=like:al%25", "a1 a2 a3 a4"),
    ("name=like:AL%25", ""),
    ("name=like:_eta", "b1 b2"),
    ("name=like:beta", "b1 b2"),
    ("name=like:%25", ALL),
    ("name=%C3%9Cn%C3%AF", "c3"),
    ("name=Alpha", ""),
    ("str1=Red", "a1"),
    ("str1=red", "a2"),
    ("str1=neq:red", "a1 b1 b2 c1 c2"),
    ("str1=like:r%25", "a2"),
    ("str1=50%25", "b2"),
    ("str1=2030-01-01T00:00:00", "c1"),
    ("str1=eq:2030-01-01T00:00:00", "c1"),
    ('str1=in:"say \\"x\\""', "c2"),
    ('str1=say "x"', "c2"),
    ("int1=1", "a1"),
    ("int1=eq: 1 ", "a1"),
    ("int1=neq:1", "a2 a3 a4"),
    ("int1=gt:1", "a2 a3 a4"),
    ("int1=gte:2", "a2 a3 a4"),
    ("int1=lt:10", "a1 a2"),
    ("int1=lte:10", "a1 a2 a3 a4"),
    ("int1=in:1,10", "a1 a3 a4"),
    ("int1=gt:1&int1=lt:10", "a2"),
    ("float1=1.5", "a1"),
    ("float1=lt:0", "a2"),
    ("float1=gte:-1.5", "a1 a2"),
    ("bool1=true", "a1"),
    ("bool1=yes", "a1"),
    ("bool1=garbage", "a2 a3 a4 b1 b2 c1 c2 c3"),
    ("list_of_str=q", "a1 a3"),
    ("list_of_str=p&list_of_str=q", "a1"),
    ("list_of_str=in:q,r", "a1 a3 c2"),
    ("list_of_int=2", "a1 c3"),
    ("list_of_int=in:1,3", "a1 c3"),
    ("dict_of_str=k", "a1 b1"),
    ("dict_of_str=in:k,other", "a1 b1"),
    ("dict_of_str=other", ""),
    ("dict_of_str.k=v", "a1"),
    ("dict_of_str.k=in:v,w", "a1 b1"),
    ("dict_of_int.n=5", "a1"),
    ("metadata=m", "a1 b2"),
    ("metadata.m=1", "a1"),
    ("metadata.m=neq:1", "b2"),
    ("metadata.o=1&metadata.m=2", "b2"),
    ("dict_of_blobs=some.key", "c2"),
    ("tags=x", "a1 b1"),
    ("tags=y,x", "a1 b1"),
    ("tags=x&tags=z", "b1"),
    ("tags=a b", "c1"),
    ("tags=", ALL),
    ("tags=nothing", ""),
    ("tags-any=x,z", "a1 b1"),
    ("tags-any=y", "a1 a2 b1"),
    ("tags-any=", ""),
    ("version=1", "a1"),
    ("version=1.2", "b2"),
    ("version=gt:1.2.0", "a2 a3 a4 b1"),
    ("version=gte:1.10.0", "a2 a3 a4 b1"),
    ("version=lt:1.10.0", "a1 b2 c1 c2 c3"),
    ("version=lt:2", "a1 a2 b1 b2 c1 c2 c3"),
    ("version=lte:2.0.0", "a1 a2 a3 a4 b1 b2 c1 c2 c3"),
    ("version=gt:2.0.0-rc1", "a3 a4"),
    ("version=2.0.0%2Bb1", "a3"),
    ("version=neq:0.0.0", "a1 a2 a3 a4 b1 b2"),
    ("version=in:1.0.0,2.0.0%2Bb2", "a1 a4"),
    ("version=latest", "a3 a4 b1 c1 c2 c3"),
    ("version=latest&name=alpha", "a3 a4"),
    ("version=latest&name=alpha&version=lt:2.0.0", "a2"),
    ("version=latest&int1=lt:10", "a2"),
    ("version=latest&status=drafted&name=beta", "b2"),
    ("status=active", "b1"),
    ("status=neq:active", "a1 a2 a3 a4 b2 c1 c2 c3"),
    ("status=in:active,drafted", ALL),
    ("visibility=public", ""),
    ("visibility=private", ALL),
    ("owner=wonderland", ALL),
    ("owner=neq:wonderland", ""),
    ("display_type_name=like:Sample%25", ALL),
    ("display_type_name=neq:Sample Artifact", ""),
    ("created_at=gt:2030-01-01T00:06:30Z", "c2 c3"),
    ("created_at=lt:2030-01-01T00:01:00Z", "a1"),
    ("created_at=lt:2030-01-01T02:01:00%2B02:00", "a1"),
    ("created_at=gt:2030-01-01T00:01:00&created_at=lt:2030-01-01T00:04:00Z", "a3 a4"),
    ("created_at=lt:2030-01-01", ""),
    ("updated_at=gt:2030-01-01T01:00:00Z", "c1 c2"),
    ("activated_at=gt:2029-12-31", "b1"),
    ("activated_at=lt:2029-12-31", ""),
    ("system_attribute=default", ALL),
    ("metadata_attribute=neq:default", ""),
    ("string_required=or:a1&string_required=or:c3", "a1 c3"),
    ("string_required=or:eq:a1&int1=or:gt:9", "a1 a3 a4"),
    ("string_required=or:a1&name=alpha", "a1"),
    ("string_required=or:a1&string_required=or:b1&name=alpha", "a1"),
    ("name=or:beta&int1=or:1", "a1 b1 b2"),
    ("name=or:beta", "b1 b2"),
    ("tags=or:x,z&string_required=or:c3", "b1 c3"),
    ("tags=or:x&tags=or:z&string_required=or:c3", "b1 c3"),
    ("tags-any=or:x,z&string_required=or:c3", "a1 b1 c3"),
    ("metadata=or:m&string_required=or:c3", "a1 b2 c3"),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_filter(lists: Glare, query: str, expected: str) -> None:
    """Each filter finds what it names, and the total says how many."""
    page = lists.alice.page(SAMPLE, f"{query}&sort=created_at:asc")
    assert " ".join(artifact["string_required"] for artifact in page["artifacts"]) == expected
    assert page["total_count"] == len(expected.split())


def test_filter_by_link(lists: Glare) -> None:
    """A link is compared as it was written (quirk 43)."""
    (artifact,) = lists.alice.page(SAMPLE, "string_required=c1")["artifacts"]
    link = artifact["link1"]
    assert labels(lists.alice, f"link1={link}") == "c1"
    assert labels(lists.alice, f"link1=neq:{link}x") == "c1"
    assert labels(lists.alice, "link1=/artifacts/images/other") == ""


def test_filter_by_id(lists: Glare) -> None:
    """An id finds its artifact."""
    (artifact,) = lists.alice.page(SAMPLE, "string_required=c1")["artifacts"]
    assert labels(lists.alice, f"id={artifact['id']}") == "c1"
    assert labels(lists.alice, f"id=in:{artifact['id']},00000000-0000-4000-8000-000000000000") == "c1"


REFUSED = [
    *("unknown=1", "unknown", "=1", "name.x=1", "int1.k=1", "tags.x=1"),
    *("description=x", "blob=x", "blob.size=1", "small_blob=eq:x", "dict_of_blobs.key=x", "list_validators=a"),
    *("name=a:b", "name=EQ:alpha", "name=gt:alpha", "name=:x", "name=or:gt:a", "name=like:", "name=", "name=eq:"),
    *("int1=x", "int1=1.5", "int1=", "int1=like:1", "float1=x", "bool1=neq:true", "list_of_str=neq:p"),
    *("dict_of_str=neq:k", "dict_of_str=like:k", "metadata=neq:m", "dict_of_str.k=neq:v", "dict_of_str.a.b=z"),
    *("tags=eq:x", "tags=in:x", "tags-any=like:x", "version=x", "version=like:1%25", "version=latest:1"),
    *("version=eq:latest", "version=in:latest", "status=unknown", "status=like:a%25", "visibility=shared"),
    *("id=x", "id=like:%25", "owner=like:x", "created_at=2030-01-01", "created_at=eq:2030-01-01", "created_at=gt:x"),
    *("created_at=gte:2030-01-01", "updated_at=neq:2030-01-01", "string_validators=cc", "int_validators=9"),
    *('name=in:"a', 'name=in:a"b"', 'name=in:"a"b', 'name=in:a,"b', "link1=in:a", "str1=eq:%00", "type_name=images"),
    *("limit=-1", "limit=x", "limit=", "limit=1.5", "limit=1&limit=2", "marker=x&marker=y", "sort=name&sort=id"),
    *("sort=", "sort=unknown", "sort=name,", "sort=,name", "sort=name:up", "sort=name:ASC", "sort=name:", "sort=tags"),
    *("sort=description", "sort=blob", "sort=link1", "sort=bool1", "sort=int1,float1", "sort=str1:asc,int1:desc"),
    *("sort=name:asc:desc", "Limit=5", "fields=id", "offset=1"),
]


@pytest.mark.parametrize("query", REFUSED)
def test_query_is_refused(lists: Glare, query: str) -> None:
    """What is no query is 400, and never means something else."""
    answer = lists.alice.request("GET", f"/artifacts/{SAMPLE}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] in ("BadRequest", "InvalidParameterValue")


# Sort → labels of the whole catalogue.
SORTS: list[tuple[str, str]] = [
    ("created_at", "c3 c2 c1 b2 b1 a4 a3 a2 a1"),
    ("created_at:asc", ALL),
    ("created_at:desc", "c3 c2 c1 b2 b1 a4 a3 a2 a1"),
    ("name:asc,created_at:asc", "c1 c2 a1 a2 a3 a4 b1 b2 c3"),
    ("name", "c3 b2 b1 a4 a3 a2 a1 c2 c1"),
    ("name:asc", "c1 c2 a4 a3 a2 a1 b2 b1 c3"),
    ("version:asc,created_at:asc", "c1 c2 c3 a1 b2 b1 a2 a3 a4"),
    ("version,created_at:asc", "a3 a4 a2 b1 b2 a1 c1 c2 c3"),
    ("int1:asc,created_at:asc", "a1 a2 a3 a4 b1 b2 c1 c2 c3"),
    ("int1:desc,created_at:asc", "a3 a4 a2 a1 b1 b2 c1 c2 c3"),
    ("float1:asc,created_at:asc", "a2 a1 a3 a4 b1 b2 c1 c2 c3"),
    ("activated_at:asc,created_at:asc", "b1 a1 a2 a3 a4 b2 c1 c2 c3"),
    ("activated_at:desc,created_at:asc", "b1 a1 a2 a3 a4 b2 c1 c2 c3"),
    ("status:asc,created_at:asc", "b1 a1 a2 a3 a4 b2 c1 c2 c3"),
    ("updated_at:desc,created_at:asc", "c1 c2 b1 c3 b2 a4 a3 a2 a1"),
    ("owner,visibility,display_type_name,system_attribute,created_at:asc", ALL),
]


@pytest.mark.parametrize(("sort", "expected"), SORTS)
@pytest.mark.parametrize("limit", [1, 2, 4, 9, 100])
def test_walk_loses_and_repeats_nothing(lists: Glare, sort: str, expected: str, limit: int) -> None:
    """Following `next` gives the whole sorted list, null values last, whatever the size of a page."""
    path = f"/artifacts/{SAMPLE}?limit={limit}&sort={sort}"
    walked: list[str] = []
    while path:
        page = lists.alice.request("GET", path).json()
        assert page["total_count"] == len(CATALOGUE)
        walked += [artifact["string_required"] for artifact in page["artifacts"]]
        assert ("next" in page) is (len(page["artifacts"]) == limit)
        path = page.get("next", "")
    assert walked == expected.split()


def test_walk_with_filters(lists: Glare) -> None:
    """A walk keeps its filters, repeated ones as well (quirk 40)."""
    path = f"/artifacts/{SAMPLE}?int1=gt:0&int1=lte:10&name=alpha&limit=1&sort=int1:asc,created_at:asc"
    walked = []
    while path:
        page = lists.alice.request("GET", path).json()
        walked += [artifact["string_required"] for artifact in page["artifacts"]]
        path = page.get("next", "")
    assert walked == ["a1", "a2", "a3", "a4"]


def test_shape_and_links(lists: Glare) -> None:
    """The keys of a page, and its links to the letter."""
    page = lists.alice.request("GET", f"/artifacts/{SAMPLE}?sort=name%3Aasc&limit=2").json()
    assert set(page) == {"artifacts", "type_name", "schema", "total_count", "first", "next"}
    last = page["artifacts"][-1]["id"]
    assert page["type_name"] == SAMPLE
    assert page["schema"] == f"/schemas/{SAMPLE}"
    assert page["first"] == f"/artifacts/{SAMPLE}?sort=name%3Aasc&limit=2"
    assert page["next"] == f"/artifacts/{SAMPLE}?sort=name%3Aasc&limit=2&marker={last}"
    assert page["total_count"] == 9
    plain = lists.alice.request("GET", f"/artifacts/{SAMPLE}").json()
    assert plain["first"] == f"/artifacts/{SAMPLE}"
    assert "next" not in plain


LINKS = [
    ("name=in:%22a,b%22,x&limit=9", "name=in%3A%22a%2Cb%22%2Cx&limit=9"),
    ("name=%C3%9Cn%C3%AF", "name=%C3%9Cn%C3%AF"),
    ("tags=a+b&tags=x", "tags=a+b&tags=x"),
    ("&limit=9&&name=alpha&", "limit=9&name=alpha"),
    ("tags=", "tags="),
]


@pytest.mark.parametrize(("query", "encoded"), LINKS)
def test_first_is_form_encoded(lists: Glare, query: str, encoded: str) -> None:
    """`first` holds every parameter, in order, form-encoded."""
    assert lists.alice.page(SAMPLE, query)["first"] == f"/artifacts/{SAMPLE}?{encoded}"


def test_marker_is_not_in_first(lists: Glare) -> None:
    """`first` leads to the beginning, `next` from any page to the one after it."""
    page = lists.alice.page(SAMPLE, "limit=2&sort=name")
    second = lists.alice.request("GET", page["next"]).json()
    assert second["first"] == page["first"] == f"/artifacts/{SAMPLE}?limit=2&sort=name"
    parameters = parse_qsl(urlsplit(second["next"]).query)
    assert [name for name, _ in parameters] == ["limit", "sort", "marker"]


def test_full_last_page_has_a_next(lists: Glare) -> None:
    """A page that is exactly full has a `next`, though nothing follows (quirk 12); an empty one has none."""
    page = lists.alice.page(SAMPLE, "limit=9")
    after = lists.alice.request("GET", page["next"]).json()
    assert (after["artifacts"], after["total_count"]) == ([], 9)
    assert "next" not in after


def test_limit_zero(lists: Glare) -> None:
    """A limit of nothing gives the total and no artifacts."""
    page = lists.alice.page(SAMPLE, "limit=0")
    assert (page["artifacts"], page["total_count"]) == ([], 9)
    assert "next" not in page


def test_limits_are_the_operators(tmp_path: Path) -> None:
    """The default size of a page and the largest one come from the configuration; `next` follows the effective one."""
    with running(tmp_path, "[DEFAULT]\ndefault_api_limit = 2\nmax_api_limit = 3\n") as glare:
        for number in range(4):
            glare.alice.create("images", name=str(number))
        for query, size in (("", 2), ("limit=3", 3), ("limit=4", 3), ("limit=999999999999999999999999", 3)):
            page = glare.alice.page("images", query)
            assert len(page["artifacts"]) == size
            assert "next" in page


def test_default_page_has_25(api: Glare) -> None:
    """Without a limit a page has up to 25 artifacts."""
    owner = api.actor("u:many:")
    for number in range(26):
        owner.create("heat_environments", name=str(number))
    page = owner.page("heat_environments")
    assert (len(page["artifacts"]), page["total_count"]) == (25, 26)
    assert "next" in page


@pytest.mark.parametrize("marker", ["", "x", "00000000-0000-4000-8000-000000000000", "%00"])
def test_unknown_marker_is_404(lists: Glare, marker: str) -> None:
    """A list cannot start after what does not exist."""
    answer = lists.alice.request("GET", f"/artifacts/{SAMPLE}?marker={marker}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "ArtifactNotFound")


def test_marker_of_another_type(lists: Glare) -> None:
    """A marker may be of any type: the list starts where it would stand."""
    owner = lists.actor("u:markers:")
    marker = owner.create("images", name="b")
    for name in ("a", "c"):
        owner.create(SAMPLE, name=name)
    assert owner.names(SAMPLE, f"sort=name:asc&marker={marker['id']}") == ["c"]
    assert owner.names("all", f"sort=name:asc&marker={marker['id']}") == ["c"]


def test_client_writes_a_leading_ampersand(lists: Glare) -> None:
    """The query as the client writes it, with an empty part at its start."""
    query = "&limit=20&name=" + quote("alpha") + "&sort=name:asc"
    assert len(lists.alice.page(SAMPLE, query)["artifacts"]) == 4


def test_all_lists_every_type(api: Glare) -> None:
    """`all` lists base fields, `type_name` and what formatters add; it filters and sorts by those, and by no others."""
    owner = api.actor("u:every:")
    owner.create("images", name="one", version="1.0.0")
    owner.create(SAMPLE, name="two", str1="x")
    owner.create("murano_packages", name="one", version="2.0.0")
    page = owner.page("all", "sort=type_name:asc")
    assert (page["type_name"], page["schema"], page["total_count"]) == ("all", "/schemas/all", 3)
    document = page["artifacts"]
    assert [artifact["type_name"] for artifact in document] == ["images", "murano_packages", SAMPLE]
    base = set(owner.request("GET", "/schemas/all").json()["schemas"]["all"]["properties"])
    assert [set(artifact) for artifact in document] == [base, base, {*base, "__some_meta_information__"}]
    assert [artifact["display_type_name"] for artifact in document] == ["Images", "Murano packages", "Sample Artifact"]
    assert owner.names("all", "type_name=images") == ["one"]
    assert owner.names("all", "type_name=like:%25package%25") == ["one"]
    assert owner.names("all", f"type_name=in:images,{SAMPLE}&sort=name") == ["two", "one"]
    assert owner.names("all", "display_type_name=Images") == ["one"]
    latest = owner.page("all", "version=latest&name=one")["artifacts"]
    assert [artifact["type_name"] for artifact in latest] == ["murano_packages"]
    for query in ("str1=x", "sort=str1", "min_ram=1"):
        assert owner.request("GET", f"/artifacts/all?{query}").status_code == 400


def test_all_skips_types_that_are_not_enabled(tmp_path: Path) -> None:
    """A type that the operator no longer offers does not break the list of all (quirk 45); its artifacts are not
    there.
    """
    with running(tmp_path) as glare:
        hidden = glare.alice.create("images", name="image")
        glare.alice.create(SAMPLE, name="sample")
    text = f"[DEFAULT]\nenabled_artifact_types = {SAMPLE}\ncustom_artifact_types_modules = support.sample_types\n"
    with running(tmp_path, text) as glare:
        assert glare.alice.names("all") == ["sample"]
        assert glare.alice.page("all")["total_count"] == 1
        for path in ("/artifacts/images", f"/artifacts/images/{hidden['id']}", "/schemas/images"):
            answer = glare.alice.request("GET", path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "TypeNotFound")
        assert glare.alice.request("GET", f"/artifacts/all/{hidden['id']}").status_code == 404


def test_latest_ignores_owner(lists: Glare) -> None:
    """`version=latest` keeps the highest version of a name, whoever owns it; equal ones all stay (quirk 13)."""
    name = "latest of all"
    for token, version in (("u:one:", "1.0.0"), ("u:two:", "2.0.0"), ("u:three:", "2.0.0")):
        lists.actor(token).create(SAMPLE, name=name, version=version)
    found = lists.admin.page(SAMPLE, urlencode({"version": "latest", "name": name}))["artifacts"]
    assert sorted(artifact["owner"] for artifact in found) == ["three", "two"]
    assert lists.actor("u:one:").names(SAMPLE, urlencode({"version": "latest", "name": name})) == [name]


def test_list_is_of_one_type(lists: Glare) -> None:
    """Artifacts of other types are not there, and an unknown type is 404."""
    lists.actor("u:types:").create("images", name="only")
    assert lists.actor("u:types:").names(SAMPLE) == []
    assert lists.alice.request("GET", "/artifacts/unknown?x=y").status_code == 404
