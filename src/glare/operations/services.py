"""What operations work with: built once by the composition root, passed as the first argument, never global."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from glare.db.engine import Database
from glare.domain.blob import Managed
from glare.egress.client import EgressClient
from glare.errors import NotFound
from glare.events.webhooks import SecretBox
from glare.identity.oidc.issuers import Issuer
from glare.metrics import Metrics
from glare.operations.beacons import Beacons
from glare.operations.heartbeats import Heartbeats
from glare.operations.reads import Reads
from glare.operations.rules import Rules
from glare.operations.shared_fetch import Fetches
from glare.policy.engine import PolicyEngine
from glare.spans import Tracer
from glare.stores.base import Store
from glare.types.registry import TypeRegistry


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running Glare.

    `aside` is the same database as `db`, with a connection of its own for probes and numbers: whoever is asked whether
    all is well must not wait behind what is not. `chance`, between 0 and 1, spreads work over time and over kinds of
    checks. `webhooks` is the guarded client for targets of subscriptions, `secrets` keeps their secrets.
    `issuers` are those whose tokens are accepted.
    """

    db: Database
    aside: Database
    types: TypeRegistry
    policy: PolicyEngine
    stores: Mapping[str, Store]
    egress: EgressClient
    webhooks: EgressClient
    secrets: SecretBox
    hashing: Executor
    heartbeats: Heartbeats
    rules: Rules
    metrics: Metrics
    fetches: Fetches
    reads: Reads
    beacons: Beacons
    issuers: Sequence[Issuer] = ()
    tracer: Tracer = field(default_factory=Tracer)
    clock: Callable[[], int] = lambda: time.time_ns() // 1000
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    chance: Callable[[], float] = random.random

    def store_for(self, type_name: str, project: str | None, wish: str | None = None) -> str:
        """The name of the store for new data of this type in an artifact of this project: the `wish` where it is one of
        several.
        """
        return self.rules.placing.choose(type_name, project, self.chance(), wish)

    def store_with(self, location: Managed) -> Store:
        """The store that has the bytes. Raises `NotFound` where this node has no such store."""
        store = self.stores.get(location.store)
        if store is None:
            raise NotFound(f"The store '{location.store}' of this blob is not configured here; tell the operator.")
        return store
