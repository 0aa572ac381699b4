"""Options of who is calling, and of what callers may do."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Network,
    Section,
    flag,
    integer,
    networks,
    optional_choice,
    optional_path,
    path,
    section,
    size,
    sources,
    text,
)


@section("identity")
class IdentitySettings(Section):
    """Who is calling."""

    pipeline: tuple[str, ...] = sources(
        "token_file, tokens",
        "Sources that tell who is calling, with commas between them. The first that takes the credentials of a request "
        "decides. `tokens`: tokens in the database, which users make at `/tokens` and operators with `glare-server "
        "token create`. `token_file`: those in `token_file`, where older versions kept them; without that file there "
        "are none. `oidc`: signed tokens of the issuers in `[oidc] issuers`. `keystone`: tokens of Keystone, checked "
        "with the options of `[keystone_authtoken]`, which are keystonemiddleware's own; needs glare-server[keystone]. "
        "`trusted_headers`: a proxy in `trusted_peers` has authenticated the caller and says so in X-Identity-Status, "
        "X-User-Id, X-Project-Id and X-Roles. `test_token`: anyone may be anybody with `X-Auth-Token: "
        "user:project:role1,role2`; for tests only, and alone.",
        ("tokens", "token_file", "trusted_headers", "test_token", "oidc", "keystone"),
        planned={"keycloak": "keycloak is not part of this version"},
    )
    threads: int = integer(
        "8",
        "Threads per process that ask a source which has to wait for a network or a database. What is known already "
        "needs none. Where there are several sources, a quarter of them is kept from each, so that one which does not "
        "answer leaves the others theirs.",
        at_least=1,
        at_most=512,
    )
    threads_per_network: int = integer(
        "6",
        "How many of them the callers of one network (/24 or /64) may have. Behind a proxy, set `[DEFAULT] "
        "trusted_proxies`, or all callers are one network.",
        at_least=1,
        at_most=512,
    )
    remembered_callers: int = integer(
        "10000",
        "How many callers of `keystone` each process remembers by the digest of their tokens, so that the next request "
        "asks nobody. None is remembered beyond `[keystone_authtoken] token_cache_time` or the end of its token.",
        at_least=0,
        at_most=1_000_000,
    )
    token_memory: int = size(
        "16 MiB",
        "What each process keeps of Keystone's answers where `[keystone_authtoken] memcached_servers` is unset: those "
        "about services that act for others, and about credentials with access rules, above all.",
        at_least=64 << 10,
        at_most=16 << 30,
    )
    token_file: Path = path(
        "$state_dir/tokens.json",
        "File of hashed tokens that older versions made. `glare-server token import` takes them over into the "
        "database.",
    )
    trusted_peers: tuple[Network, ...] = networks(
        "127.0.0.1, ::1", "Addresses whose identity headers `trusted_headers` believes; everybody else is refused."
    )


@section("DEFAULT")
class AnonymousSettings(Section):
    """Callers without a token."""

    allow_anonymous_access: bool = flag(
        "false",
        "Let callers without a token read public artifacts and schemas. Off, because publishing to the world is a "
        "decision.",
    )


@section("paste_deploy")
class PasteDeploySettings(Section):
    """The older way to choose the identity pipeline."""

    flavor: str | None = optional_choice(
        "Name of the identity pipeline in older configuration files: `noauth` is `[identity] pipeline = "
        "trusted_headers`, and `keystone` that of the same name. Use that option in new ones.",
        ("noauth", "keystone"),
        planned={"keycloak": "the keycloak pipeline is not part of this version"},
    )


@section("oslo_policy")
class PolicySettings(Section):
    """Who may do what."""

    policy_file: Path | None = optional_path(
        "YAML or JSON file of policy rules that differ from the defaults; `glare-server policy sample` prints them "
        "all. Unset: the defaults."
    )
    policy_default_rule: str = text("default", "Rule that decides when the rule asked for does not exist.")
