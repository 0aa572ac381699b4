"""Options of who is calling, and of what callers may do."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Network,
    Section,
    choice,
    flag,
    networks,
    optional_choice,
    optional_path,
    path,
    section,
    text,
)


@section("identity")
class IdentitySettings(Section):
    """Who is calling."""

    pipeline: str = choice(
        "token_file",
        "`token_file`: tokens made with `glare-server token create`. `trusted_headers`: a proxy in `trusted_peers` "
        "has authenticated the caller and says so in X-Identity-Status, X-User-Id, X-Project-Id and X-Roles. "
        "`test_token`: anyone may be anybody with `X-Auth-Token: user:project:role1,role2`; for tests only.",
        ("token_file", "trusted_headers", "test_token"),
        planned={name: f"{name} is not part of this version" for name in ("keystone", "oidc", "keycloak")},
    )
    token_file: Path = path("$state_dir/tokens.json", "File of the hashed tokens.")
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
        "trusted_headers`. Use that option in new ones.",
        ("noauth",),
        planned={name: f"the {name} pipeline is not part of this version" for name in ("keystone", "keycloak")},
    )


@section("oslo_policy")
class PolicySettings(Section):
    """Who may do what."""

    policy_file: Path | None = optional_path(
        "YAML or JSON file of policy rules that differ from the defaults; `glare-server policy sample` prints them "
        "all. Unset: the defaults."
    )
    policy_default_rule: str = text("default", "Rule that decides when the rule asked for does not exist.")
