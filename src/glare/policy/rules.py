"""Every policy rule: its default, what it means and what it governs. The sample file and the reference come from this
table.

The language is oslo.policy's. Of the caller a rule may use ``role:NAME``, ``user_id:…``, ``project_id:…``,
``project_domain_id:…``, ``roles:…``, ``system_scope:all`` and ``service_roles:…`` (``user`` and ``tenant`` are older
names of the first two), of the artifact ``%(id)s``, ``%(type_name)s``, ``%(name)s``, ``%(version)s``, ``%(owner)s``,
``%(visibility)s`` and ``%(status)s``, and ``%(member_id)s``, which is the caller's project where the artifact is shared
with it. A rule whose target differs says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `check` is the default in oslo.policy's language; `operations` are methods with path templates."""

    name: str
    check: str
    description: str
    operations: tuple[str, ...] = ()


ADMIN: Final = "rule:context_is_admin"
OWNER: Final = "rule:admin_or_owner"
WRITER: Final = "rule:writer"
CHANGER: Final = f"{OWNER} and {WRITER}"
OVERSEER: Final = f"{ADMIN} or rule:system_reader"
EVERYONE: Final = "@"
MANAGER: Final = "rule:project_manager"

_SCHEMAS = ("GET /schemas", "GET /schemas/{type}")
_TYPE = "/artifacts/{type}"
_ARTIFACT = "/artifacts/{type}/{id}"
_BLOB = "/artifacts/{type}/{id}/{blob path}"
_MEMBERS = "/members/{artifact_id}"
_MEMBER = "/members/{artifact_id}/{project}"
_SUBSCRIPTION = "/subscriptions/{subscription}"
_PUBLISHER = "/publishers/{publisher}"
_ONE_TOKEN = "/tokens/{token}"  # noqa: S105 - the path of a token is no secret

RULES: Final[tuple[Rule, ...]] = (
    Rule("context_is_admin", "role:admin", "Who is an administrator."),
    Rule("admin_or_owner", f"{ADMIN} or project_id:%(owner)s", "An administrator, or somebody of the owning project."),
    Rule(
        "writer",
        "role:admin or role:manager or role:member or role:service or not role:reader",
        "Who may change anything at all: not who is only a reader. A caller without any of these roles may, as before "
        "there were readers; set it to 'role:admin or role:manager or role:member or role:service' to want one.",
    ),
    Rule(
        "project_manager",
        f"{ADMIN} or (role:manager and project_id:%(owner)s)",
        "An administrator, or a manager of the owning project.",
    ),
    Rule("system_reader", "role:reader and system_scope:all", "Who may see, and not change, what all projects have."),
    Rule("artifact:type_list", EVERYONE, "See the artifact types and their schemas. There is no target.", _SCHEMAS),
    Rule(
        "artifact:create",
        WRITER,
        "Create an artifact. The target is the body of the request, with %(type_name)s and %(owner)s.",
        (f"POST {_TYPE}",),
    ),
    Rule(
        "artifact:update_public",
        f"{ADMIN} or not 'public':%(visibility)s",
        "Change an artifact although it is public; part of artifact:update.",
        (f"PATCH {_ARTIFACT}",),
    ),
    Rule(
        "artifact:update",
        f"{CHANGER} and rule:artifact:update_public",
        "Change an artifact in any way.",
        (f"PATCH {_ARTIFACT}",),
    ),
    Rule("artifact:activate", CHANGER, "Set the status of a drafted artifact to active.", (f"PATCH {_ARTIFACT}",)),
    Rule("artifact:reactivate", ADMIN, "Set the status of a deactivated artifact to active.", (f"PATCH {_ARTIFACT}",)),
    Rule("artifact:deactivate", ADMIN, "Set the status of an artifact to deactivated.", (f"PATCH {_ARTIFACT}",)),
    Rule(
        "artifact:share",
        CHANGER,
        "Set the visibility of an artifact to shared: its members see it too.",
        (f"PATCH {_ARTIFACT}",),
    ),
    Rule(
        "artifact:communitize",
        CHANGER,
        "Set the visibility of an artifact to community: everybody may read it, and lists show it to those who ask.",
        (f"PATCH {_ARTIFACT}",),
    ),
    Rule(
        "artifact:withdraw",
        CHANGER,
        "Set the visibility of an artifact that is shared or community back to private.",
        (f"PATCH {_ARTIFACT}",),
    ),
    Rule("artifact:publish", ADMIN, "Set the visibility of an artifact to public.", (f"PATCH {_ARTIFACT}",)),
    Rule(
        "location:list",
        EVERYONE,
        "List the external locations of one's own project. There is no target.",
        ("GET /locations",),
    ),
    Rule(
        "location:list_all",
        OVERSEER,
        "List the external locations of all projects, and filter them by host. There is no target.",
        ("GET /locations",),
    ),
    Rule(
        "location:get",
        EVERYONE,
        "Show an external location of an artifact that the caller may see, and the history of its checks.",
        ("GET /locations/{id}", "GET /locations/{id}/checks", "GET /locations/{id}/promotion"),
    ),
    Rule(
        "location:check",
        CHANGER,
        "Have an external location checked now, at the expense of its project.",
        ("POST /locations/{id}/checks",),
    ),
    Rule(
        "artifact:promote_location",
        CHANGER,
        "Have an external location copied into a store, within the quota of its project.",
        ("POST /locations/{id}/promotion",),
    ),
    Rule("artifact:get", EVERYONE, "Show an artifact that the caller may see.", (f"GET {_ARTIFACT}",)),
    Rule("artifact:list", EVERYONE, "List artifacts. There is no target.", (f"GET {_TYPE}",)),
    Rule(
        "artifact:get_any_artifact",
        OVERSEER,
        "See a private artifact of another project, and so be able to do with it what the other rules allow.",
        (f"GET {_ARTIFACT}",),
    ),
    Rule(
        "artifact:list_all_artifacts",
        OVERSEER,
        "See private artifacts of all projects in lists. There is no target.",
        (f"GET {_TYPE}",),
    ),
    Rule(
        "artifact:delete_public",
        f"{ADMIN} or not 'public':%(visibility)s",
        "Delete an artifact although it is public; part of artifact:delete.",
        (f"DELETE {_ARTIFACT}",),
    ),
    Rule(
        "artifact:delete_deactivated",
        f"{ADMIN} or not 'deactivated':%(status)s",
        "Delete an artifact although it is deactivated; part of artifact:delete.",
        (f"DELETE {_ARTIFACT}",),
    ),
    Rule(
        "artifact:delete",
        f"{CHANGER} and rule:artifact:delete_public and rule:artifact:delete_deactivated",
        "Delete an artifact.",
        (f"DELETE {_ARTIFACT}",),
    ),
    Rule("artifact:upload", CHANGER, "Upload data into a blob.", (f"PUT {_BLOB}",)),
    Rule("artifact:set_location", CHANGER, "Record an external location as a blob.", (f"PUT {_BLOB}",)),
    Rule(
        "artifact:set_internal_location",
        f"{ADMIN} or ({CHANGER} and service_roles:service)",
        "Adopt data that is in a store as a blob. A service that acts for the owner may, such as one that has written "
        "the data.",
        (f"PUT {_BLOB}",),
    ),
    Rule(
        "artifact:download_deactivated",
        f"{ADMIN} or not 'deactivated':%(status)s",
        "Download a blob although its artifact is deactivated; part of artifact:download.",
        (f"GET {_BLOB}",),
    ),
    Rule(
        "artifact:download",
        f"({OWNER} or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s) "
        "and rule:artifact:download_deactivated",
        "Download a blob.",
        (f"GET {_BLOB}",),
    ),
    Rule(
        "artifact:download_from_any_artifact",
        ADMIN,
        "Download any blob of any artifact that the caller may see, whatever artifact:download says.",
        (f"GET {_BLOB}",),
    ),
    Rule("artifact:delete_blob", CHANGER, "Remove an external location.", (f"DELETE {_BLOB}",)),
    Rule("artifact:set_quotas", ADMIN, "Set the quotas of projects. There is no target.", ("PUT /quotas",)),
    Rule("artifact:list_all_quotas", OVERSEER, "See the quotas of all projects. There is no target.", ("GET /quotas",)),
    Rule(
        "artifact:list_project_quotas",
        f"{OVERSEER} or project_id:%(project_id)s",
        "See the quotas of one project. The target is %(project_id)s.",
        ("GET /project-quotas", "GET /project-quotas/{project}"),
    ),
    Rule("member:create", CHANGER, "Share an artifact with a project.", (f"POST {_MEMBERS}",)),
    Rule(
        "member:list",
        EVERYONE,
        "See with whom an artifact is shared: its owner all of them, a member itself.",
        (f"GET {_MEMBERS}",),
    ),
    Rule(
        "member:get",
        EVERYONE,
        "See one member of an artifact: its owner any, a member itself.",
        (f"GET {_MEMBER}",),
    ),
    Rule(
        "member:update",
        f"{ADMIN} or (project_id:%(member_id)s and {WRITER})",
        "Decide whether a member's lists show the artifact. The target's %(member_id)s is that member.",
        (f"PUT {_MEMBER}",),
    ),
    Rule("member:delete", CHANGER, "Share an artifact with a project no more.", (f"DELETE {_MEMBER}",)),
    Rule(
        "takedown:create",
        ADMIN,
        "Take down a content, a host or a URL. There is no target.",
        ("POST /takedowns",),
    ),
    Rule("takedown:list", OVERSEER, "List what is taken down. There is no target.", ("GET /takedowns",)),
    Rule("takedown:get", OVERSEER, "Show a takedown. There is no target.", ("GET /takedowns/{id}",)),
    Rule("takedown:delete", ADMIN, "Undo a takedown. There is no target.", ("DELETE /takedowns/{id}",)),
    Rule("audit:list", OVERSEER, "See the audit log: who changed what. There is no target.", ("GET /audit",)),
    Rule(
        "link:create",
        CHANGER,
        "Make a link to a blob of the artifact. Asked about the maker again whenever somebody reads by the link, which "
        "ends where it says no.",
        ("POST /links",),
    ),
    Rule(
        "link:list",
        f"{OWNER} or rule:system_reader",
        "See the links of one project. The target is that project as %(owner)s.",
        ("GET /links",),
    ),
    Rule("link:get", f"{OWNER} or rule:system_reader", "See a link. The target is as before.", ("GET /links/{id}",)),
    Rule(
        "link:delete",
        CHANGER,
        "Revoke a link, or all of a project. The target is as before.",
        ("DELETE /links/{id}", "POST /links/revocation"),
    ),
    Rule(
        "subscription:create",
        CHANGER,
        "Subscribe to events. The target is the caller's project as %(owner)s.",
        ("POST /subscriptions",),
    ),
    Rule(
        "subscription:list",
        f"{OWNER} or rule:system_reader",
        "See the subscriptions of one project. The target is that project as %(owner)s.",
        ("GET /subscriptions",),
    ),
    Rule(
        "subscription:get",
        f"{OWNER} or rule:system_reader",
        "See a subscription and its deliveries. The target is its %(id)s and its project as %(owner)s.",
        (f"GET {_SUBSCRIPTION}", f"GET {_SUBSCRIPTION}/deliveries", f"GET {_SUBSCRIPTION}/deliveries/{{delivery}}"),
    ),
    Rule(
        "subscription:update",
        CHANGER,
        "Change a subscription, replace its secret, confirm its target, and have deliveries sent again. The target "
        "is as before.",
        (
            f"PATCH {_SUBSCRIPTION}",
            f"POST {_SUBSCRIPTION}/secret",
            f"POST {_SUBSCRIPTION}/confirmation",
            f"POST {_SUBSCRIPTION}/deliveries/{{delivery}}/redelivery",
        ),
    ),
    Rule(
        "subscription:delete", CHANGER, "Delete a subscription. The target is as before.", (f"DELETE {_SUBSCRIPTION}",)
    ),
    Rule(
        "publisher:create",
        MANAGER,
        "Let builds publish into a project with the tokens of their platform. The target is the caller's project as "
        "%(owner)s.",
        ("POST /publishers",),
    ),
    Rule(
        "publisher:list",
        f"{OWNER} or rule:system_reader",
        "See the publishers of one project. The target is that project as %(owner)s.",
        ("GET /publishers",),
    ),
    Rule(
        "publisher:get",
        f"{OWNER} or rule:system_reader",
        "See a publisher. The target is its %(id)s and its project as %(owner)s.",
        (f"GET {_PUBLISHER}",),
    ),
    Rule("publisher:delete", MANAGER, "Delete a publisher. The target is as before.", (f"DELETE {_PUBLISHER}",)),
    Rule(
        "token:create",
        CHANGER,
        "Make an API token for oneself, with as many rights or fewer. The target is the caller's project as %(owner)s.",
        ("POST /tokens",),
    ),
    Rule(
        "token:create_with_token",
        f"{ADMIN} or role:manager or role:token_maker",
        "Make an API token with an API token; asked beside token:create. Otherwise who finds a token could make "
        "others, which nobody knows of.",
        ("POST /tokens",),
    ),
    Rule(
        "token:list",
        OWNER,
        "See one's own API tokens of one project. The target is that project as %(owner)s.",
        ("GET /tokens",),
    ),
    Rule(
        "token:get",
        OWNER,
        "See an API token. The target is its %(id)s and its project as %(owner)s.",
        (f"GET {_ONE_TOKEN}",),
    ),
    Rule(
        "token:delete",
        CHANGER,
        "Revoke an API token, or all of a user in a project. The target is as before.",
        (f"DELETE {_ONE_TOKEN}", "POST /tokens/revocation"),
    ),
    Rule(
        "token:manage",
        "rule:project_manager",
        "See and revoke the API tokens of others in a project too. The target is that project as %(owner)s.",
        ("GET /tokens", f"GET {_ONE_TOKEN}", f"DELETE {_ONE_TOKEN}", "POST /tokens/revocation"),
    ),
)
