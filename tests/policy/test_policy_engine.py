"""The compiled policy: the contract's table, the library as an oracle, and files that are refused."""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import _checks, policy

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import GlareError, PolicyException
from glare.policy.compile import credentials_of
from glare.policy.engine import PolicyEngine
from glare.policy.rules import RULES
from glare.policy.sample import sample

DEFAULT = PolicyEngine()

ADMIN = Actor("root", "ops", frozenset({"admin", "x"}))
OWNER = Actor("ann", "p1", frozenset({"member"}))
OTHER = Actor("bob", "p2", frozenset({"member"}))
READER = Actor("eve", "p1", frozenset({"reader"}))
MANAGER = Actor("mia", "p1", frozenset({"manager", "member", "reader"}))
OVERSEER = Actor("sue", None, frozenset({"reader"}), system=True)
SERVED = Actor("ann", "p1", frozenset({"member", "reader"}), service_roles=frozenset({"service"}))
ACTORS = {
    "admin": ADMIN, "owner": OWNER, "other": OTHER, "anonymous": ANONYMOUS,
    "reader": READER, "manager": MANAGER, "overseer": OVERSEER, "served": SERVED,
}  # fmt: skip


def target(visibility: str = "private", status: str = "active") -> dict[str, str]:
    return {
        "owner": "p1", "visibility": visibility, "status": status,
        "id": "1", "type_name": "images", "name": "n", "version": "1.0.0",
    }  # fmt: skip


WRITING = {"owner", "manager", "served"}
ALL = set(ACTORS)
WRITERS = {"admin", "other", "anonymous", *WRITING}  # The anonymous reader is refused before any rule is asked.
PROJECT = {"admin", "reader", *WRITING}
OWNERS = {"admin", *WRITING}
SEERS = {"admin", "overseer"}
ADMINS = {"admin"}
TABLE: list[tuple[str, dict[str, str], set[str]]] = [
    ("context_is_admin", {}, ADMINS),
    ("admin_or_owner", target(), PROJECT),
    ("writer", target(), WRITERS),
    ("project_manager", target(), {"admin", "manager"}),
    ("system_reader", {}, {"overseer"}),
    ("artifact:type_list", {}, ALL),
    ("artifact:create", {"name": "n"}, WRITERS),
    ("artifact:update_public", target(), ALL),
    ("artifact:update_public", target("public"), ADMINS),
    ("artifact:update", target(), OWNERS),
    ("artifact:update", target("public"), ADMINS),
    ("artifact:activate", target(status="drafted"), OWNERS),
    ("artifact:reactivate", target(), ADMINS),
    ("artifact:deactivate", target(), ADMINS),
    ("artifact:publish", target(), ADMINS),
    *((f"artifact:{verb}", target("shared"), OWNERS) for verb in ("share", "communitize", "withdraw")),
    ("member:create", target("shared"), OWNERS),
    ("member:list", target("shared"), ALL),
    ("member:get", target("shared"), ALL),
    ("member:update", target("shared") | {"member_id": "p2"}, {"admin", "other"}),
    ("member:update", target("shared") | {"member_id": "p3"}, ADMINS),
    ("member:delete", target("shared"), OWNERS),
    ("location:list", {}, ALL),
    ("location:list_all", {}, SEERS),
    ("location:get", target(), ALL),
    ("location:check", target("public"), OWNERS),
    ("artifact:promote_location", target("public"), OWNERS),
    *((f"takedown:{verb}", {}, ADMINS) for verb in ("create", "delete")),
    *((f"takedown:{verb}", {}, SEERS) for verb in ("list", "get")),
    ("artifact:get", target(), ALL),
    ("artifact:list", {}, ALL),
    ("artifact:get_any_artifact", target(), SEERS),
    ("artifact:list_all_artifacts", {}, SEERS),
    ("artifact:delete_public", target(), ALL),
    ("artifact:delete_public", target("public"), ADMINS),
    ("artifact:delete_deactivated", target(), ALL),
    ("artifact:delete_deactivated", target(status="deactivated"), ADMINS),
    ("artifact:delete", target(), OWNERS),
    ("artifact:delete", target("public"), ADMINS),
    ("artifact:delete", target(status="deactivated"), ADMINS),
    ("artifact:upload", target("public"), OWNERS),
    ("artifact:set_location", target(), OWNERS),
    ("artifact:set_internal_location", target(), {"admin", "served"}),
    ("artifact:download_deactivated", target(), ALL),
    ("artifact:download_deactivated", target(status="deactivated"), ADMINS),
    ("artifact:download", target(), PROJECT),
    ("artifact:download", target("public"), ALL),
    ("artifact:download", target("community"), ALL),
    ("artifact:download", target("community", "deactivated"), ADMINS),
    ("artifact:download", target("shared"), PROJECT),
    ("artifact:download", target("shared") | {"member_id": "p2"}, PROJECT | {"other"}),
    ("artifact:download", target("shared", "deactivated") | {"member_id": "p2"}, ADMINS),
    ("artifact:download", target("public", "deactivated"), ADMINS),
    ("artifact:download", target("private", "deactivated"), ADMINS),
    ("artifact:download_from_any_artifact", target(), ADMINS),
    ("artifact:delete_blob", target(), OWNERS),
    ("artifact:set_quotas", {}, ADMINS),
    ("artifact:list_all_quotas", {}, SEERS),
    ("artifact:list_project_quotas", {"project_id": "p1"}, {*PROJECT, "overseer"}),
    ("audit:list", {}, SEERS),
    ("link:create", target(), OWNERS),
    *((f"publisher:{verb}", {"owner": "p1"}, {*PROJECT, "overseer"}) for verb in ("list", "get")),
    *((f"publisher:{verb}", {"owner": "p1"}, {"admin", "manager"}) for verb in ("create", "delete")),
    *((f"link:{verb}", {"owner": "p1"}, {*PROJECT, "overseer"}) for verb in ("list", "get")),
    ("link:delete", {"owner": "p1"}, OWNERS),
    *((f"token:{verb}", {"owner": "p1"}, OWNERS) for verb in ("create", "delete")),
    *((f"token:{verb}", {"owner": "p1"}, PROJECT) for verb in ("list", "get")),
    *((f"token:{verb}", {"owner": "p1"}, {"admin", "manager"}) for verb in ("create_with_token", "manage")),
    *((f"subscription:{verb}", {"owner": "p1"}, OWNERS) for verb in ("create", "update", "delete")),
    *((f"subscription:{verb}", {"owner": "p1"}, {*PROJECT, "overseer"}) for verb in ("list", "get")),
]


@pytest.mark.parametrize(("rule", "of", "allowed"), TABLE)
def test_a_default_rule_allows_whom_the_contract_names(rule: str, of: dict[str, str], allowed: set[str]) -> None:
    """Each default decides as the contract's table says, for admin, owner, another project and the anonymous reader."""
    assert {name for name, actor in ACTORS.items() if DEFAULT.allows(rule, actor, of)} == allowed


def test_the_table_knows_every_rule() -> None:
    """No rule is without an expectation above, and each has a description."""
    assert {rule for rule, _, _ in TABLE} == {rule.name for rule in RULES}
    assert all(rule.description.endswith(".") for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_refusal_names_the_rule() -> None:
    """`require` raises with the rule's name, and is silent where the rule holds."""
    DEFAULT.require("artifact:update", OWNER, target())
    with pytest.raises(PolicyException, match="'artifact:update'"):
        DEFAULT.require("artifact:update", OTHER, target())


def test_admin_is_a_role_in_any_case_and_never_the_anonymous_reader() -> None:
    """The role admin makes an administrator however it is spelt, unless nobody is calling."""
    for roles, expected in [({"Admin"}, True), ({"ADMIN", "x"}, True), ({"administrator"}, False), (set(), False)]:
        assert DEFAULT.is_admin(Actor("u", "p", frozenset(roles))) is expected
    assert not DEFAULT.is_admin(Actor(None, None, frozenset({"admin"}), anonymous=True))


def test_nobody_is_not_the_project_none() -> None:
    """A caller without project or user does not equal the text None."""
    assert not DEFAULT.allows("admin_or_owner", ANONYMOUS, {"owner": "None"})
    assert not DEFAULT.allows("admin_or_owner", ANONYMOUS, {"owner": None})


def test_an_unknown_rule_is_a_mistake_of_the_program() -> None:
    """Asking for a rule that does not exist raises instead of deciding."""
    with pytest.raises(KeyError):
        DEFAULT.allows("artifact:fly", ADMIN, {})


# The library as an oracle.

ATOMS = [
    "@", "!", "role:admin", "role:Member", "role:%(owner)s", "role:%(missing)s", "rule:context_is_admin",
    "rule:admin_or_owner", "rule:artifact:download", "rule:helper", "project_id:%(owner)s", "tenant:%(owner)s",
    "user_id:ann", "user:%(name)s", "user_id:%(missing)s", "'public':%(visibility)s", "\"public\":%(visibility)s",
    "'a':a", "'a':b", "1:%(count)s", "True:%(flag)s", "None:%(nothing)s", "roles:member", "roles:%(owner)s",
    "is_admin:True", "system_scope:all",
    "service_roles:service", "service_roles:%(owner)s", "project_domain_id:p1",
    "project_id:x%%", "project_id:p%(count)s", "'p1-active':%(owner)s-%(status)s",
    "artifact:x",
]  # fmt: skip

expressions = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" and ".join),
        st.tuples(inner, inner).map(" or ".join),
        inner.map("({})".format),
        inner.map("not ({})".format),
        st.sampled_from(ATOMS).map("not {}".format),
    ),
    max_leaves=8,
)
names = st.sampled_from(["p1", "p2", "ann", "admin", "None", "member", "x%", ""])
actors = st.builds(
    Actor,
    st.none() | names,
    st.none() | names,
    st.frozensets(st.sampled_from(["admin", "Admin", "member", "Member", "p1", "x"]), max_size=3),
    domain=st.none() | names,
    system=st.booleans(),
    service_roles=st.frozensets(st.sampled_from(["service", "Service", "p1"]), max_size=2),
)
targets = st.dictionaries(
    st.sampled_from(["owner", "name", "visibility", "status", "count", "flag", "nothing"]),
    names | st.sampled_from(["public", "private", "active", "deactivated", 1, True, None]),
)


def oracle(path: Path) -> policy.Enforcer:
    """The library alone, with our defaults and the same file."""
    conf = cfg.ConfigOpts()
    conf([], project="oracle", default_config_files=[], default_config_dirs=[])
    enforcer = policy.Enforcer(conf, policy_file=str(path))
    enforcer.register_defaults([policy.RuleDefault(rule.name, rule.check) for rule in RULES])
    return enforcer


@given(expressions, expressions, actors, st.lists(targets, min_size=1, max_size=4))
def test_a_compiled_decision_is_the_library_s(
    tmp_path_factory: pytest.TempPathFactory, rule: str, helper: str, actor: Actor, several: list[Mapping[str, Any]]
) -> None:
    """For any expression, caller and target the compiled rule says what oslo.policy says."""
    if "rule:helper" in helper:
        helper = helper.replace("rule:helper", "role:helper")
    path = tmp_path_factory.getbasetemp() / "compared.json"
    path.write_text(json.dumps({"artifact:publish": rule, "helper": helper}))
    engine, library = PolicyEngine(path), oracle(path)
    for of in several:
        for name in ("artifact:publish", "helper", "artifact:delete"):
            assert engine.allows(name, actor, of) == library.enforce(name, of, credentials_of(actor)), name


def test_a_missing_reference_means_the_default_rule(tmp_path: Path) -> None:
    """A file that defines `default` gives a meaning to references to rules that nobody defined, as in the library."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": "role:fallback", "artifact:publish": "rule:nowhere"}))
    engine, library = PolicyEngine(path), oracle(path)
    for roles, expected in [({"fallback"}, True), ({"admin"}, False)]:
        actor = Actor("u", "p", frozenset(roles))
        assert engine.allows("artifact:publish", actor, {}) is expected
        assert library.enforce("artifact:publish", {}, credentials_of(actor)) is expected


class OddCheck(_checks.Check):
    """A plug-in of an operator: the user's name has an odd length."""

    def __call__(self, target: Any, creds: Any, enforcer: Any, current_rule: str | None = None) -> bool:
        assert current_rule == "artifact:publish"
        return len(creds["user_id"]) % 2 == 1 and "context_is_admin" in enforcer.rules


class OldCheck(_checks.Check):
    """A plug-in that does not take the rule's name."""

    def __call__(self, target: Any, creds: Any, enforcer: Any) -> bool:  # type: ignore[override]  # the older signature
        return bool(creds["user_id"] == self.match)


@pytest.fixture
def plugins() -> Iterator[None]:
    _checks.registered_checks.update(odd=OddCheck, old=OldCheck)
    yield
    del _checks.registered_checks["odd"], _checks.registered_checks["old"]


@pytest.mark.usefixtures("plugins")
def test_a_plugin_s_check_stays_the_library_s(tmp_path: Path) -> None:
    """A kind of check that an operator brings is called as the library would, inside what is compiled."""
    path = tmp_path / "policy.yaml"
    path.write_text("artifact:publish: not role:member and (odd:x or old:anne)\n")
    engine = PolicyEngine(path)
    for user, expected in [("ann", True), ("anne", True), ("bill", False)]:
        assert engine.allows("artifact:publish", Actor(user, "p", frozenset()), {}) is expected
        assert not engine.allows("artifact:publish", Actor(user, "p", frozenset({"member"})), {})


# Files.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"artifact:get": "role:a and"}', "'artifact:get' .* cannot be read"),
        ('{"artifact:get": "admin"}', "'artifact:get' .* cannot be read"),
        ('{"artifact:get": "(role:a"}', "'artifact:get' .* cannot be read"),
        ('{"artifact:get": "\'quoted\'"}', "'artifact:get' .* cannot be read"),
        ('{"artifact:get": [5]}', "'artifact:get' .* cannot be read"),
        ("artifact:get:\n", "'artifact:get' .* is None.*'@' allows everybody"),
        ('{"artifact:get": 5}', "'artifact:get' .* is 5"),
        ('{"artifact:get": "rule:nowhere"}', "'artifact:get' .* refers to rule 'nowhere', which is not defined"),
        (
            '{"a": "rule:b", "b": "rule:c", "c": "not rule:a"}',
            "'a' .* refers to itself: a -> b -> c -> a",
        ),
        ('{"artifact:gett": "@"}', "'artifact:gett' .* not known: did you mean 'artifact:get'"),
        ('{"artifact:zzzzzzz": "@"}', "glare-server policy sample"),
        ('{"artifact:get": "%(x)s:y"}', "neither a quoted text nor something that a caller has"),
        ('{"artifact:get": ":y"}', "neither a quoted text nor something that a caller has"),
        ('{"artifact:get": "project_id.x:y"}', "project_id of a caller has no parts"),
        ('{"artifact:get": "roles.x:y"}', "roles of a caller has no parts"),
        ('{"artifact:get": "project_id:100%"}', "a template that cannot be filled in"),
        ('{"artifact:get": "role:%(owner)d"}', "a template that cannot be filled in"),
        ("[1, 2]", "must map names of rules to rules"),
        ("{5: '@'}", "has a name that is no text"),
        ("{ not: yaml: at all", "is neither YAML nor JSON"),
    ],
)
def test_a_bad_file_is_refused_with_file_rule_and_reason(
    tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the library would log and deny is refused at start, in one sentence, without a traceback in the log."""
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(GlareError, match=reason) as raised:
        PolicyEngine(path)
    assert f"policy file {path}" in raised.value.message
    assert caplog.records == []


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file is said with its name and the option."""
    with pytest.raises(GlareError, match=r"missing\.yaml cannot be read.*policy_file"):
        PolicyEngine(tmp_path / "missing.yaml")


def test_a_comparison_that_never_holds_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A credential that no caller has does not refuse the file, but is logged with rule and name."""
    path = tmp_path / "policy.yaml"
    path.write_text("artifact:get: is_admin:True or role:member\n")
    engine = PolicyEngine(path)
    assert engine.allows("artifact:get", OWNER, {})
    [line] = caplog.messages
    assert "artifact:get" in line
    assert "'is_admin'" in line


def test_helper_rules_may_have_any_name(tmp_path: Path) -> None:
    """A rule of the operator's own is accepted, also with the prefix of ours when another rule uses it."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "artifact:publish: (rule:artifact:curator or rule:boss)\nartifact:curator: role:curator\nboss: role:boss\n"
    )
    engine = PolicyEngine(path)
    assert engine.allows("artifact:publish", Actor("u", "p", frozenset({"curator"})), {})
    assert not engine.allows("artifact:publish", ADMIN, {})


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    """A file without rules leaves every default."""
    path = tmp_path / "policy.json"
    path.write_text(text)
    engine = PolicyEngine(path)
    for rule, of, allowed in TABLE:
        assert {name for name, actor in ACTORS.items() if engine.allows(rule, actor, of)} == allowed


def test_the_sample_changes_nothing_and_its_lines_are_the_defaults(tmp_path: Path) -> None:
    """The sample file loads as it is; with its rules uncommented it holds every default."""
    path = tmp_path / "policy.yaml"
    path.write_text(sample())
    PolicyEngine(path)
    assert policy.parse_file_contents(sample()) == {}
    uncommented = "\n".join(line.removeprefix("#") for line in sample().splitlines() if line.startswith('#"'))
    assert policy.parse_file_contents(uncommented) == {rule.name: rule.check for rule in RULES}
    path.write_text(uncommented)
    PolicyEngine(path)


def test_a_decision_costs_microseconds() -> None:
    """The deepest default rule is decided in a few microseconds (the library takes a hundred times as long)."""
    of = target("public")
    best = min(timeit.repeat(lambda: DEFAULT.allows("artifact:download", OTHER, of), number=1000, repeat=20)) / 1000
    assert best < 10e-6


def test_loading_makes_no_warning() -> None:
    """A fresh interpreter that turns warnings into errors loads the engine, and nothing is printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from glare.policy.engine import PolicyEngine; PolicyEngine()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
