"""The operator's options as the rules that operations decide with."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from glare.db.counters import ALL_TYPES, Limits
from glare.domain.declared.hooks import UnpackLimits
from glare.domain.moment import SECOND
from glare.domain.query import QueryLimits
from glare.domain.verification import Rhythm
from glare.events.webhooks import Retries
from glare.operations.reads import ReadLimits
from glare.operations.rules import (
    JobRules,
    LinkRules,
    OutboundLimits,
    PatrolRules,
    Placing,
    Promoting,
    PromotionRules,
    Rules,
    SubscriptionRules,
    TokenRules,
    Verification,
)
from glare.settings.values import Settings
from glare.stores.drivers import name_of


def read_limits_of(settings: Settings) -> ReadLimits:
    """What readers may have fetched."""
    locations = settings.locations
    return ReadLimits(
        window=int(locations.window),
        project_requests=locations.read_project_requests,
        project_bytes=locations.read_project_bytes,
        network_requests=locations.read_network_requests,
        network_bytes=locations.read_network_bytes,
        network_waste=locations.read_network_waste,
        host_requests=locations.read_host_requests,
        host_bytes=locations.read_host_bytes,
        skip=locations.range_skip,
    )


def rules_of(settings: Settings) -> Rules:
    """What operations decide with."""
    quotas = {ALL_TYPES: Limits(settings.quotas.max_artifact_number, settings.quotas.max_uploaded_data)}
    delayed = {ALL_TYPES: settings.quotas.delayed_delete}
    redirect = {ALL_TYPES: settings.locations.redirect}
    promoting = {ALL_TYPES: Promoting(settings.promotion.when)}
    for name, section in settings.artifact_types.items():
        quotas[name] = Limits(section.max_artifact_number, section.max_uploaded_data)
        if section.redirect is not None:
            redirect[name] = section.redirect
        if section.delayed_delete is not None:
            delayed[name] = section.delayed_delete
        if section.promote_when is not None:
            promoting[name] = Promoting(section.promote_when)
    return Rules(
        quotas=quotas,
        max_members=settings.quotas.max_members,
        delayed_delete=delayed,
        placing=placing_of(settings),
        redirect=redirect,
        reservation_step=settings.uploads.reservation_step,
        attempt_timeout=settings.uploads.attempt_timeout,
        unpacking=UnpackLimits(
            members=settings.unpacking.max_members,
            size=settings.unpacking.max_unpacked_size,
            ratio=settings.unpacking.max_ratio,
        ),
        query=QueryLimits(
            default_page=settings.lists.default_api_limit,
            max_page=settings.lists.max_api_limit,
            max_conditions=settings.api.max_filters,
            max_values=settings.api.max_filter_values,
        ),
        max_patch_operations=settings.api.max_patch_operations,
        outbound=OutboundLimits(
            window=int(settings.locations.window),
            requests=settings.locations.project_requests,
            bytes=settings.locations.project_bytes,
            concurrency=settings.locations.project_concurrency,
            host_concurrency=settings.locations.host_concurrency,
        ),
        verification=_verification(settings),
        subscriptions=_subscription_rules(settings),
        links=LinkRules(
            settings.links.max_per_project,
            settings.links.default_time,
            settings.links.longest_time,
            int(settings.links.retention * SECOND),
        ),
        tokens=_token_rules(settings),
        jobs=JobRules(
            tries=settings.jobs.tries,
            retry_first=settings.jobs.retry_first,
            retry_most=settings.jobs.retry_most,
            busy_wait=settings.jobs.busy_wait,
            per_project=settings.jobs.project_jobs,
            retention=settings.jobs.retention,
        ),
        promotion=PromotionRules(when=promoting, batch=settings.promotion.batch, retry=settings.promotion.retry),
        measure=settings.locations.measure == "require",
        measure_later=settings.locations.measure_later,
        harmless_parameters=frozenset(name.lower() for name in settings.locations.harmless_parameters),
        scrub_time=settings.scrubber.scrub_time,
        scrub_pool_size=settings.scrubber.scrub_pool_size,
        event_retention=settings.outbox.retention,
        audit_retention=settings.audit.retention,
        refusal_retention=settings.audit.refusal_retention,
        removal_delay=int(settings.store.removal_delay * SECOND),
        patrol=PatrolRules(settings.patrol.rate, settings.patrol.interval),
        unchecked_stores=frozenset(name_of(name) for name in settings.store.unchecked_files),
        trusted_stores=frozenset(name for name, store in settings.object_stores.items() if store.trusted),
        publishers_per_project=settings.oidc.publishers_per_project,
    )


def placing_of(settings: Settings) -> Placing:
    """Where new bytes go."""

    def names(configured: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(name_of, configured)))

    of_types = {name: names(section.default_store) for name, section in settings.artifact_types.items()}
    of_projects = {name: names(section.default_store) for name, section in settings.projects.items()}
    return Placing(
        types={ALL_TYPES: names(settings.glance_store.default_store)}
        | {name: stores for name, stores in of_types.items() if stores},
        projects={name: stores for name, stores in of_projects.items() if stores},
        weights={name_of(name): store.weight for name, store in settings.stores.items()},
        read_only=frozenset(name_of(name) for name, store in settings.stores.items() if store.read_only),
    )


def _verification(settings: Settings) -> Verification:
    v = settings.verification

    def micros(seconds: float) -> int:
        return int(seconds * SECOND)

    return Verification(
        rhythm=Rhythm(
            check_interval=micros(v.check_interval),
            full_interval=micros(v.full_interval),
            retry_first=micros(v.retry_first),
            retry_most=micros(v.retry_most),
            quarantine_interval=micros(v.quarantine_interval),
            recovery_gap=micros(v.recovery_gap),
            failures=v.failures,
            hint_interval=micros(v.hint_interval),
        ),
        daily_bytes=v.daily_bytes,
        spot_blocks=v.spot_blocks,
        spot_share=v.spot_percent / 100,
        host_interval=v.host_interval,
        host_turn=v.host_turn,
        outage_hosts=v.outage_hosts,
        outage_share=v.outage_percent / 100,
        outage_window=v.outage_window,
        outage_projects=v.outage_projects,
        outage_patience=v.outage_patience,
        host_retry_most=v.host_retry_most,
        busy_most=v.busy_most,
        stale_after=v.stale_after,
        history_retention=v.history_retention,
    )


def _subscription_rules(settings: Settings) -> SubscriptionRules:
    options = settings.subscriptions
    return SubscriptionRules(
        most=options.max_per_project,
        confirmation_time=options.confirmation_time,
        delivery_timeout=options.delivery_timeout,
        retries=Retries(options.retry_delay, options.max_retry_delay, options.retry_time, options.max_retry_after),
        suspend_after=options.suspend_after,
        secret_overlap=options.secret_overlap,
        log_retention=options.log_retention,
        source=settings.server.public_endpoint or f"urn:glare:{quote(settings.lists.glare_publisher_id, safe='')}",
    )


def _token_rules(settings: Settings) -> TokenRules:
    options = settings.tokens
    return TokenRules(
        most=options.max_per_project,
        default_lifetime=int(options.default_lifetime * SECOND),
        max_lifetime=int(options.max_lifetime * SECOND),
        notice=int(options.expiry_notice * SECOND),
        retention=int(options.retention * SECOND),
    )
