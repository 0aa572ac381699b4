"""All settings of a process, as one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_type_hints

from glare import __version__
from glare.egress.names import NameBounds
from glare.egress.settings import EgressSettings
from glare.events.messaging import FORMATS, Bus
from glare.settings.declare import Declared, Section, options_of
from glare.settings.options.api import ApiSettings, CorsSettings, ListSettings
from glare.settings.options.callers import AnonymousSettings, IdentitySettings, PasteDeploySettings, PolicySettings
from glare.settings.options.checks import VerificationSettings
from glare.settings.options.content import (
    ArtifactTypeSettings,
    GlanceStoreSettings,
    QuotaSettings,
    StoreSettings,
    TypesSettings,
    UnpackingSettings,
    UploadSettings,
)
from glare.settings.options.database import DatabaseSettings
from glare.settings.options.jobs import JobsSettings, PromotionSettings
from glare.settings.options.links import LinkSettings
from glare.settings.options.listening import ServerSettings
from glare.settings.options.locations import LocationsSettings
from glare.settings.options.messages import NotificationSettings, OutboxSettings, RabbitSettings, TransportSettings
from glare.settings.options.objects import AzureSettings, GCSSettings, ObjectStoreSettings, S3Settings, SwiftSettings
from glare.settings.options.oidc import OidcSettings
from glare.settings.options.stores import NamedStoreSettings, ProjectSettings
from glare.settings.options.subscriptions import SubscriptionsSettings
from glare.settings.options.tokens import TokensSettings
from glare.settings.options.tracing import TracingSettings
from glare.settings.options.upkeep import FsckSettings, MovingSettings, PatrolSettings, ScrubberSettings
from glare.settings.options.watching import AuditSettings, LoggingSettings, MetricsSettings
from glare.stores.objects.options import PlaceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator decides. Each section is a frozen dataclass; durations are seconds, sizes are bytes.

    It can be pickled, which is how server processes get it. `artifact_types` has a section for each enabled type and
    each group of the configuration file that is named after a type; `stores` and `projects` have one for each group of
    theirs. `files` are those that options were read from, and
    `environment` says whether variables were read too: the options of libraries are read by the libraries.
    """

    server: ServerSettings
    lists: ListSettings
    api: ApiSettings
    cors: CorsSettings
    logging: LoggingSettings
    metrics: MetricsSettings
    tracing: TracingSettings
    audit: AuditSettings
    identity: IdentitySettings
    oidc: OidcSettings
    tokens: TokensSettings
    anonymous: AnonymousSettings
    paste_deploy: PasteDeploySettings
    database: DatabaseSettings
    policy: PolicySettings
    types: TypesSettings
    quotas: QuotaSettings
    artifact_types: Mapping[str, ArtifactTypeSettings]
    stores: Mapping[str, NamedStoreSettings]
    projects: Mapping[str, ProjectSettings]
    glance_store: GlanceStoreSettings
    store: StoreSettings
    s3: S3Settings
    azure: AzureSettings
    gcs: GCSSettings
    swift: SwiftSettings
    uploads: UploadSettings
    unpacking: UnpackingSettings
    locations: LocationsSettings
    verification: VerificationSettings
    subscriptions: SubscriptionsSettings
    links: LinkSettings
    jobs: JobsSettings
    promotion: PromotionSettings
    fsck: FsckSettings
    patrol: PatrolSettings
    moving: MovingSettings
    transport: TransportSettings
    notifications: NotificationSettings
    rabbit: RabbitSettings
    outbox: OutboxSettings
    scrubber: ScrubberSettings
    files: tuple[Path, ...] = ()
    environment: bool = False

    @property
    def egress(self) -> EgressSettings:
        """What the guarded client is built with."""
        locations = self.locations
        return EgressSettings(
            schemes=frozenset(locations.allowed_schemes),
            ports=frozenset(locations.allowed_ports),
            opened_networks=locations.allowed_networks,
            forbidden_networks=locations.forbidden_networks,
            forbidden_hosts=frozenset(locations.forbidden_hosts),
            nat64_prefixes=locations.nat64_prefixes,
            proxy=locations.egress_proxy,
            trace_headers=frozenset({"traceparent"} if locations.pass_trace else ()),
            header_seconds=locations.header_deadline,
            connect_seconds=locations.connect_timeout,
            answer_seconds=locations.answer_timeout,
            hurry_seconds=locations.hurry,
            attempt_delay=locations.address_delay,
            max_addresses=locations.max_addresses,
            failure_seconds=locations.failure_memory,
            max_failures=locations.remembered_failures,
            resumptions=locations.resumptions,
            body_seconds=locations.total_time,
            minimum_rate=locations.minimum_throughput,
            max_header_bytes=locations.max_header_bytes,
            max_headers=locations.max_headers,
            max_redirects=locations.max_redirects,
            resolve_seconds=locations.resolve_timeout,
            name_bounds=NameBounds(
                threads=locations.resolver_threads,
                slow_threads=locations.resolver_slow_threads,
                of_party=locations.resolver_project_threads,
                of_site=locations.resolver_domain_threads,
                patience=locations.resolve_patience,
                quick=locations.resolve_slow_after,
                memory=locations.resolve_memory,
            ),
            refusal_floor_seconds=locations.refusal_floor,
            cdn_loop_id=locations.cdn_loop_id,
            user_agent=f"glare/{__version__}",
        )

    @property
    def bus(self) -> Bus | None:
        """The message bus that notifications go to; None where they go elsewhere."""
        url = self.notifications.transport_url or self.transport.transport_url
        if self.notifications.driver not in FORMATS or url is None:
            return None
        return Bus(
            url=url,
            driver=self.notifications.driver,
            topics=self.notifications.topics,
            exchange=self.transport.control_exchange,
            publisher=self.lists.glare_publisher_id,
            retry=self.notifications.retry,
            timeout=math.ceil(self.outbox.broker_timeout),
            rabbit={
                "amqp_durable_queues": self.rabbit.amqp_durable_queues,
                "amqp_auto_delete": self.rabbit.amqp_auto_delete,
                "rabbit_quorum_queue": self.rabbit.rabbit_quorum_queue,
                "ssl": self.rabbit.ssl,
                "ssl_ca_file": str(self.rabbit.ssl_ca_file or ""),
                "ssl_cert_file": str(self.rabbit.ssl_cert_file or ""),
                "ssl_key_file": str(self.rabbit.ssl_key_file or ""),
            },
        )

    @property
    def object_stores(self) -> Mapping[str, ObjectStoreSettings]:
        """The options of each store in an object store, by its name, also of those whose place is not named."""
        named = {name: store.own for name, store in self.stores.items() if isinstance(store.own, ObjectStoreSettings)}
        return {"s3": self.s3, "azure": self.azure, "gcs": self.gcs, "swift": self.swift, **named}

    @property
    def places(self) -> Mapping[str, PlaceOptions]:
        """Where each store in an object store is, by its name: of those whose place is named."""
        places = {name: store.place for name, store in self.object_stores.items()}
        return {name: place for name, place in places.items() if place is not None}

    @property
    def places_at_stores(self) -> Mapping[str, int]:
        """How many bodies each remote store may have under way in a process."""
        return {name: self.object_stores[name].max_transfers for name in self.places}

    @property
    def webhooks(self) -> EgressSettings:
        """What the guarded client of webhooks is built with: the same addresses, other schemes, ports and times, and no
        redirects.
        """
        subscriptions = self.subscriptions
        return replace(
            self.egress,
            schemes=frozenset(subscriptions.allowed_schemes),
            ports=frozenset(subscriptions.allowed_ports),
            ports_option="[subscriptions] allowed_ports",
            header_seconds=subscriptions.delivery_timeout,
            answer_seconds=subscriptions.delivery_timeout,
            body_seconds=subscriptions.delivery_timeout,
            max_redirects=0,
            trace_headers=frozenset({"traceparent", "tracestate"}),
        )

    @property
    def keeps_tokens_in_file(self) -> bool:
        """Whether new tokens are for the token file: where the service looks at no others of ours."""
        return "token_file" in self.pipeline and "tokens" not in self.pipeline

    @property
    def pipeline(self) -> tuple[str, ...]:
        """The identity sources in effect, in their order: `[paste_deploy] flavor` is an older way to say the same."""
        return pipeline_of(self.identity, self.paste_deploy)

    @property
    def log_level(self) -> str:
        """The level in effect: `debug` lowers it."""
        return "debug" if self.server.debug else self.logging.level


def pipeline_of(identity: IdentitySettings, paste_deploy: PasteDeploySettings) -> tuple[str, ...]:
    """The identity pipeline that the two ways to choose it come to."""
    flavors = {"noauth": ("trusted_headers",), "keystone": ("keystone",)}
    return flavors.get(paste_deploy.flavor or "", identity.pipeline)


def sections() -> Mapping[str, type[Section]]:
    """The sections of `Settings` that stand once in a configuration file, by attribute."""
    hints = get_type_hints(Settings)
    return MappingProxyType(
        {
            field.name: hints[field.name]
            for field in fields(Settings)
            if isinstance(hints[field.name], type) and issubclass(hints[field.name], Section)
        }
    )


def all_options() -> list[Declared]:
    """Every option, by group in the order of `Settings`; those of which there is a group for each of something
    stand last, such as those of a type in the group `artifact_type:T`.
    """
    declared = [option for cls in sections().values() for option in options_of(cls)]
    groups = list(dict.fromkeys(option.group for option in declared))
    return sorted(declared, key=lambda option: groups.index(option.group)) + [
        option for cls in _FOR_EACH for option in options_of(cls)
    ]


_FOR_EACH: tuple[type[Section], ...] = (ArtifactTypeSettings, NamedStoreSettings, ProjectSettings)


def group_purposes() -> Mapping[str, str]:
    """What each group is about, in a few words."""
    purposes: dict[str, list[str]] = {}
    classes: list[type[Section]] = [*sections().values(), *_FOR_EACH]
    for cls in classes:
        purposes.setdefault(cls.group, []).append((cls.__doc__ or "").split("\n", 1)[0])
    return {group: " ".join(texts) for group, texts in purposes.items()}
