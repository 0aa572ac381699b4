"""Quotas: how admins set them, how projects read them, and what they refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.service import Glare, Json, running

Unique = Callable[[], str]

LIMITED = (
    "[DEFAULT]\nmax_artifact_number = 3\nmax_uploaded_data = 1000\n"
    "[artifact_type:images]\nmax_artifact_number = 2\n[artifact_type:sample_artifact]\nmax_uploaded_data = 100\n"
)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service with limits of its own."""
    with running(tmp_path_factory.mktemp("limited"), LIMITED) as service:
        yield service


def put(glare: Glare, project: str, **records: int) -> None:
    """Make these the project's records; ``__`` in a name stands for a colon."""
    listed = [{"quota_name": name.replace("__", ":"), "quota_value": value} for name, value in records.items()]
    answer = glare.admin.request("PUT", "/quotas", json=[{"project_id": project, "project_quotas": listed}])
    assert answer.status_code == 200


def of(glare: Glare, project: str) -> dict[str, int]:
    """What an admin reads of a project's quotas."""
    (entry,) = glare.admin.request("GET", f"/project-quotas/{project}").json()
    assert set(entry) == {"project_id", "project_quotas"}
    assert entry["project_id"] == project
    assert all(set(record) == {"quota_name", "quota_value"} for record in entry["project_quotas"])
    return {record["quota_name"]: record["quota_value"] for record in entry["project_quotas"]}


def recorded(glare: Glare) -> dict[str, dict[str, int]]:
    """The records of all projects."""
    return {
        entry["project_id"]: {record["quota_name"]: record["quota_value"] for record in entry["project_quotas"]}
        for entry in glare.admin.request("GET", "/quotas").json()["quotas"]
    }


def test_setting_quotas_answers_null(api: Glare) -> None:
    """PUT answers 200 with the JSON document null (quirk 4)."""
    answer = api.admin.request("PUT", "/quotas", json=[])
    assert (answer.status_code, answer.content) == (200, b"null")
    assert answer.headers["content-type"] == "application/json"


def test_shapes_to_the_letter(tmp_path: Path) -> None:
    """What admins and projects read, without and with records."""
    with running(tmp_path, LIMITED) as glare:
        global_quotas = {
            "max_artifact_number": 3,
            "max_uploaded_data": 1000,
            "max_artifact_number:images": 2,
            "max_uploaded_data:sample_artifact": 100,
        }
        assert glare.admin.request("GET", "/quotas").json() == {"quotas": [], "global_quotas": global_quotas}
        records = [
            {"quota_name": "max_artifact_number", "quota_value": 5},
            {"quota_name": "max_uploaded_data:images", "quota_value": -1},
        ]
        body = [{"project_id": "wonderland", "project_quotas": records}]
        glare.admin.request("PUT", "/quotas", json=body)
        assert glare.admin.request("GET", "/quotas").json() == {"quotas": body, "global_quotas": global_quotas}
        (own,) = glare.alice.request("GET", "/project-quotas").json()
        assert own["project_id"] == "wonderland"
        document = {record["quota_name"]: record["quota_value"] for record in own["project_quotas"]}
        assert document == global_quotas | {"max_artifact_number": 5, "max_uploaded_data:images": -1}
        assert glare.alice.request("GET", "/project-quotas/wonderland").json() == [own]


def test_plain_names_are_always_there(api: Glare, unique: Unique) -> None:
    """Without any limit both plain names are -1, also for a project that nobody has heard of (quirk 38)."""
    unlimited = {"max_artifact_number": -1, "max_uploaded_data": -1}
    assert api.admin.request("GET", "/quotas").json()["global_quotas"] == unlimited
    assert of(api, unique()) == unlimited


def test_records_are_replaced_per_project(api: Glare, unique: Unique) -> None:
    """A listed project's set is replaced, an empty one cleared, an unlisted one kept; of duplicates the last wins."""
    one, two = unique(), unique()
    put(api, one, max_artifact_number=1, max_uploaded_data=2)
    put(api, two, max_artifact_number__images=3)
    put(api, one, max_artifact_number=4)
    assert recorded(api)[one] == {"max_artifact_number": 4}
    assert recorded(api)[two] == {"max_artifact_number:images": 3}
    put(api, one)
    assert one not in recorded(api)
    double = [{"quota_name": "max_artifact_number", "quota_value": value} for value in (7, 8)]
    body = [{"project_id": two, "project_quotas": []}, {"project_id": two, "project_quotas": double}]
    assert api.admin.request("PUT", "/quotas", json=body).status_code == 200
    assert recorded(api)[two] == {"max_artifact_number": 8}


def test_unknown_names_are_kept_without_effect(api: Glare, unique: Unique) -> None:
    """Any name is stored and shown; extra members are ignored."""
    project = unique()
    record = {"quota_name": "ü" * 255, "quota_value": 2**63 - 1, "more": 1}
    body = [{"project_id": project, "project_quotas": [record], "more": None}]
    assert api.admin.request("PUT", "/quotas", json=body).status_code == 200
    assert recorded(api)[project] == {"ü" * 255: 2**63 - 1}
    api.actor(f"u:{project}:").create("images", name="a")


def entry(**members: Any) -> Json:
    return {"project_id": "p", "project_quotas": [], **members}


def record(name: Any = "max_artifact_number", value: Any = 1) -> Json:
    return entry(project_quotas=[{"quota_name": name, "quota_value": value}])


WRONG: list[Any] = [
    *({}, [1], [[]], [None], "x", entry(), {"quotas": []}),
    *([{"project_id": "p"}], [{"project_quotas": []}]),
    *([entry(project_id="")], [entry(project_id="p" * 256)], [entry(project_id=1)], [entry(project_id=None)]),
    *([entry(project_quotas={})], [entry(project_quotas=None)], [entry(project_quotas=[1])]),
    *([entry(project_quotas=[{}])], [entry(project_quotas=[{"quota_name": "x"}])]),
    [entry(project_quotas=[{"quota_value": 1}])],
    *(
        [record(name="")],
        [record(name="n" * 256)],
        [record(name=1)],
        [record(name="a:b:c")],
        [record(name="\U0001f600")],
    ),
    *([record(value=-2)], [record(value="1")], [record(value=None)], [record(value=True)], [record(value=False)]),
    *([record(value=1.0)], [record(value=1.5)], [record(value=2**63)], [record(value=10**30)]),
    [record(), record(value=-2)],
]


@pytest.mark.parametrize("body", WRONG, ids=str)
def test_wrong_quotas_are_400(api: Glare, body: Any) -> None:
    """What has another shape is refused, and nothing of it is stored."""
    before = recorded(api)
    answer = api.admin.request("PUT", "/quotas", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequest")
    assert recorded(api) == before


@pytest.mark.parametrize("actor", ["alice", "anonymous"])
def test_quotas_are_for_admins(api: Glare, actor: str) -> None:
    """Others neither set nor list them; that is decided before anything is said about the request."""
    who = getattr(api, actor)
    assert who.request("GET", "/quotas").status_code == 403
    requests: tuple[Json, ...] = ({"json": []}, {"content": b"nonsense"}, {})
    for options in requests:
        assert who.request("PUT", "/quotas", **options).status_code == 403


@pytest.mark.parametrize("content_type", ["text/plain", "application/json-patch+json", ""])
def test_content_type_must_be_json(api: Glare, content_type: str) -> None:
    """Quotas are a JSON document."""
    answer = api.admin.request("PUT", "/quotas", content=b"[]", headers={"Content-Type": content_type})
    assert answer.status_code == 415


def test_projects_read_their_own(api: Glare) -> None:
    """A project reads its own quotas, an admin anybody's, and a caller without a project none (quirk 38)."""
    assert api.alice.request("GET", "/project-quotas").json()[0]["project_id"] == "wonderland"
    assert api.alice.request("GET", "/project-quotas/wonderland").status_code == 200
    assert api.alice.request("GET", "/project-quotas/builders").status_code == 403
    assert api.admin.request("GET", "/project-quotas").json()[0]["project_id"] == "cloud"
    assert api.admin.request("GET", "/project-quotas/builders").status_code == 200
    assert api.anonymous.request("GET", "/project-quotas").status_code == 403
    assert api.anonymous.request("GET", "/project-quotas/builders").status_code == 403


def statuses(glare: Glare, project: str, kinds: str) -> list[int]:
    """What creating artifacts of these types, one after another, answers."""
    actor = glare.actor(f"u:{project}:")
    return [actor.try_create(kind, name=str(number)).status_code for number, kind in enumerate(kinds.split())]


def test_configured_limits_hold(limited: Glare, unique: Unique) -> None:
    """The limit of a type and the global one are checked independently, and both must allow it."""
    assert statuses(limited, unique(), "images images images") == [201, 201, 403]
    assert statuses(limited, unique(), "images murano_packages murano_packages images") == [201, 201, 201, 403]


def test_records_override_the_configuration(limited: Glare, unique: Unique) -> None:
    """A project's record replaces the configured limit of the same name, and no other."""
    more, unlimited, none = unique(), unique(), unique()
    put(limited, more, max_artifact_number=4)
    assert statuses(limited, more, "images images images murano_packages murano_packages heat_templates") == [
        *(201, 201, 403, 201, 201, 403)
    ]
    put(limited, unlimited, max_artifact_number=-1, max_artifact_number__images=-1)
    assert statuses(limited, unlimited, "images " * 5) == [201] * 5
    put(limited, none, max_artifact_number=0)
    assert statuses(limited, none, "images") == [403]
    put(limited, none)
    assert statuses(limited, none, "images") == [201]


def test_deleted_artifacts_give_their_place_back(limited: Glare, unique: Unique) -> None:
    """A refused artifact takes no place, and a deleted one leaves it."""
    project = unique()
    actor = limited.actor(f"u:{project}:")
    first = actor.create("images", name="1")
    actor.create("images", name="2")
    assert actor.try_create("images", name="3").status_code == 403
    assert limited.usage(project) == (2, 0)
    actor.delete(first)
    assert actor.try_create("images", name="3").status_code == 201


def test_a_lowered_quota_takes_nothing_away(api: Glare, unique: Unique) -> None:
    """A project above its quota keeps what it has and creates nothing."""
    project = unique()
    actor = api.actor(f"u:{project}:")
    artifacts = [actor.create("images", name=str(number)) for number in range(3)]
    put(api, project, max_artifact_number=1)
    assert actor.try_create("images", name="4").status_code == 403
    assert actor.page("images")["total_count"] == 3
    assert actor.set(artifacts[0], description="x").status_code == 200
    for artifact in artifacts[:2]:
        actor.delete(artifact)
    assert actor.try_create("images", name="4").status_code == 403


def test_taken_name_is_told_before_a_full_quota(api: Glare, unique: Unique) -> None:
    """A taken name is 409, even where the quota is full as well."""
    project = unique()
    actor = api.actor(f"u:{project}:")
    actor.create("images", name="a")
    put(api, project, max_artifact_number=1)
    assert actor.try_create("images", name="a").status_code == 409
    assert actor.try_create("images", name="b").status_code == 403


def test_racing_creates_do_not_overrun_a_quota(api: Glare, unique: Unique) -> None:
    """However many create at once, no more than the quota allows succeed."""
    project = unique()
    put(api, project, max_artifact_number=3)
    actor = api.actor(f"u:{project}:")
    seen: list[int] = []
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        seen.append(actor.try_create("images", name=str(number)).status_code)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [201] * 3 + [403] * 5
    assert api.usage(project) == (3, 0)


def test_setting_quotas_is_an_event(api: Glare) -> None:
    """set_quotas is recorded, and a refused attempt is not."""
    before = api.events().count("set_quotas")
    api.admin.request("PUT", "/quotas", json=[])
    api.admin.request("PUT", "/quotas", json={})
    assert api.events().count("set_quotas") == before + 1
