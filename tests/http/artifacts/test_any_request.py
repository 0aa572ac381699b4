"""Whatever a client sends, the answer is never a defect of the service."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.service import Glare, Json

KIND = "sample_artifact"

FIELDS = (
    *("id", "name", "owner", "status", "created_at", "activated_at", "description", "tags", "metadata", "visibility"),
    *("version", "display_type_name", "blob", "dict_of_blobs", "link1", "bool1", "int1", "float1", "str1"),
    *("list_of_str", "list_of_int", "dict_of_str", "dict_of_int", "list_of_links", "dict_of_links", "string_regex"),
    *("string_validators", "int_validators", "list_validators", "dict_validators", "system_attribute", "unknown"),
)
TEXTS = st.sampled_from(
    [
        *("", "a", "0", "-1", "1.0", "1e999", "nan", "latest", "%", "_", "\\", "a,b", '"a"', '"', "é", "\U0001f600"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2030-01-01", "\0", "x" * 300, "1.2.3-rc1+b"),
        *("/artifacts/x/y", "http://", "https://:@/", "true", "drafted", "9" * 25, "٣", "1_000", "1.0.0-9999999"),
    ]
) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
OPERATORS = st.sampled_from(
    ["", "eq:", "neq:", "in:", "like:", "gt:", "gte:", "lt:", "lte:", "or:", "and:", "or:in:", ":", "x:"]
)
PARAMETERS = st.sampled_from([*FIELDS, "tags-any", "sort", "limit", "marker", "metadata.k", "dict_of_int.k"])
POINTERS = st.sampled_from(
    [*(f"/{name}" for name in FIELDS), "/list_of_str/0", "/tags/-", "/dict_of_str/k", "/dict_of_blobs/k", "", "/", "x"]
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace", "remove", "copy", "move", "test"])},
    optional={"path": POINTERS, "from": POINTERS, "value": JSON},
)

quickly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def sample(api: Glare) -> Json:
    """An artifact with something in its containers."""
    containers: Json = {"list_of_str": ["a"], "dict_of_str": {"k": "v"}, "tags": ["t"], "int1": 1}
    return api.alice.create(KIND, name="sample", string_required="x", **containers)


@quickly
@given(st.lists(st.tuples(PARAMETERS, OPERATORS, TEXTS), max_size=3), st.sampled_from([KIND, "all", "images"]))
def test_any_list(api: Glare, sample: Json, parameters: list[tuple[str, str, str]], kind: str) -> None:
    """A query is answered, refused, or names a marker that is not there."""
    query = urlencode([(name, operator + value) for name, operator, value in parameters])
    assert api.alice.request("GET", f"/artifacts/{kind}?{query}").status_code in (200, 400, 404)


@quickly
@given(st.lists(OPERATIONS, max_size=3), st.sampled_from(["alice", "admin"]))
def test_any_patch(api: Glare, sample: Json, patch: list[Json], actor: str) -> None:
    """A patch is done or refused, and what was refused has changed nothing."""
    before = api.admin.get(sample)
    answer = getattr(api, actor).patch(sample, *patch)
    assert answer.status_code in (200, 400, 403, 409)
    after = api.admin.get(sample)
    if answer.status_code == 200:
        assert {**after.json(), "updated_at": 0} == {**answer.json(), "updated_at": 0}
    else:
        assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


@quickly
@given(JSON, st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_any_creation(api: Glare, name: Any, fields: Json) -> None:
    """A creation is done or refused, and what is there can be read."""
    answer = api.alice.request("POST", f"/artifacts/{KIND}", json={"name": name, **fields})
    assert answer.status_code in (201, 400, 403, 409)
    if answer.status_code == 201:
        created = answer.json()
        assert api.alice.request("GET", f"/artifacts/{KIND}/{created['id']}").json() == created
        assert api.alice.request("DELETE", f"/artifacts/{KIND}/{created['id']}").status_code == 204
