"""What a caller may see: the scope of a list, and the decision on one artifact. By the default rules they are the same.

``artifact:get_any_artifact`` widens what may be got, ``artifact:list_all_artifacts`` what is listed; who overrides one
of them only gets what its name says. A credential for some types sees no others, here and there.
"""

from __future__ import annotations

from dataclasses import replace

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.visibility import ListScope, visible
from glare.policy.engine import PolicyEngine, target_of


def list_scope(engine: PolicyEngine, actor: Actor) -> ListScope:
    """What a list shows to the caller. Raises `PolicyException` when ``artifact:list`` does not let them list at
    all.
    """
    engine.require("artifact:list", actor, {})
    everything = engine.allows("artifact:list_all_artifacts", actor, {})
    scope = ListScope.everything() if everything else _own_scope(actor)
    return scope if actor.limits.types is None else replace(scope, types=actor.limits.types)


def may_see(engine: PolicyEngine, actor: Actor, artifact: Artifact) -> bool:
    """Whether the artifact, read for the caller's project, exists for the caller. What they may do with it is for other
    rules to say.
    """
    member = artifact.member is not None and artifact.member == actor.project
    return actor.limits.allows_type(artifact.type_name) and (
        visible(_own_scope(actor), artifact.owner, artifact.visibility, member=member)
        or engine.allows("artifact:get_any_artifact", actor, target_of(artifact))
    )


def _own_scope(actor: Actor) -> ListScope:
    return ListScope.of_project(actor.project) if actor.project is not None else ListScope.public_only()
