"""Options of the API: lists, requests, and pages of other origins."""

from __future__ import annotations

from glare.settings.declare import (
    Section,
    flag,
    integer,
    seconds,
    section,
    size,
    text,
    words,
)
from glare.settings.units import DAY, GIB, KIB, MIB


@section("DEFAULT")
class ListSettings(Section):
    """Lists and events, as the API names them."""

    default_api_limit: int = integer(
        "25", "Artifacts on a page of a list when the request has no `limit`.", at_least=1, at_most=10000
    )
    max_api_limit: int = integer(
        "1000",
        "Most artifacts on a page, whatever the request asks. A long page is read and sent in parts.",
        at_least=1,
        at_most=10000,
    )
    glare_publisher_id: str = text(
        "artifact.localhost", "Publisher id in notifications; name the deployment when several share a bus."
    )


@section("api")
class ApiSettings(Section):
    """What one server process may spend on requests."""

    request_threads: int = integer(
        "12",
        "Threads per process that decide requests and talk to the database; each holds at most one connection. Lists "
        "have threads of their own.",
        at_least=1,
        at_most=512,
    )
    request_threads_per_project: int = integer(
        "6",
        "How many of them one project may have at the same time, or one network of anonymous callers; the others "
        "stay for others.",
        at_least=1,
        at_most=512,
    )
    list_threads: int = integer(
        "4",
        "Threads per process that read lists. A page of more than 100, or a query of more than ten conditions, "
        "counts as two. They are few, so that lists leave the processor to short requests.",
        at_least=1,
        at_most=512,
    )
    list_threads_per_project: int = integer(
        "2", "How many of them one project, or one network of anonymous callers, may have.", at_least=1, at_most=512
    )
    max_waiting: int = integer(
        "1024",
        "Requests that may wait for a thread in one process, of short ones and of lists each; 503 beyond it, to "
        "whoever has most that wait.",
        at_least=1,
        at_most=100000,
    )
    max_waiting_per_project: int = integer(
        "128",
        "How many of these may be of one project, or of one network of anonymous callers; 429 beyond it.",
        at_least=1,
        at_most=100000,
    )
    max_wait: float = seconds(
        "10 s", "How long a request may wait for a thread before it is answered 503.", at_least=0.1, at_most=600
    )
    body_timeout: float = seconds(
        "10 s",
        "How long a JSON body may bring no byte, or on average less than `[uploads] minimum_throughput`, before it "
        "is refused with 408.",
        at_least=0.1,
        at_most=3600,
    )
    max_body_memory: int = size(
        "64 MiB",
        "Bytes of JSON bodies that one process holds; further ones wait unread. A body of unknown length counts as "
        "`max_body_size`.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_body_memory_per_project: int = size(
        "16 MiB",
        "How many of these one project, or one network of anonymous callers, may have.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_answer_memory: int = size(
        "64 MiB",
        "Bytes of answers of more than 64 KiB that one process holds while clients read them; blobs are not among "
        "them. Further ones wait for their turn. A list has 256 KiB of it, whatever its length.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_answer_memory_per_project: int = size(
        "16 MiB",
        "How many of these one project, or one network of anonymous callers, may have.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    probe_age: float = seconds(
        "1 s",
        "How old what `/readyz` and `/metrics` say may be. One look serves all who ask within this time.",
        at_least=0,
        at_most=60,
    )
    max_patch_operations: int = integer(
        "1000",
        "Operations in one JSON Patch; 400 beyond it. Each of them works on a copy of what it changes.",
        at_least=1,
        at_most=100000,
    )
    max_filters: int = integer(
        "100",
        "Conditions in one list query, each tag being one; 400 beyond it. The database tests each of them.",
        at_least=1,
        at_most=500,
    )
    max_filter_values: int = integer(
        "1000",
        "Values that one list query compares with, those of `in:` included; 400 beyond it.",
        at_least=1,
        at_most=2000,
    )
    max_text_length: int = integer(
        "4096",
        "Characters of a text for which its type says nothing, such as values of `metadata` and tags, since API "
        "version 1.3; 400 beyond it. Before 1.3 it is 255, and names and whatever lists can be sorted by stay at "
        "that.",
        at_least=255,
        at_most=16383,
    )
    max_items: int = integer(
        "2000",
        "Elements of a list, or keys of a dict, for which its type says nothing, such as `tags` and `metadata`, "
        "since API version 1.3; 400 beyond it. Before 1.3 it is 255. Each is a row that filters search.",
        at_least=255,
        at_most=10000,
    )
    max_body_size: int = size(
        "1 MiB",
        "Largest JSON body of a request (blobs are streamed, and not limited by it). It is held in memory whole, "
        "so it stays "
        "small.",
        at_least=KIB,
        at_most=64 * MIB,
    )


@section("cors")
class CorsSettings(Section):
    """Web pages of other origins that may call the API from a browser."""

    allowed_origin: tuple[str, ...] = words(
        "",
        "Origins whose pages may call the API, such as `https://dashboard.example`. None: no cross-origin header is "
        "ever sent.",
    )
    allow_credentials: bool = flag("true", "Whether such pages may send cookies and client certificates along.")
    max_age: float = seconds("1 h", "How long a browser may keep the answer to a preflight.", at_least=0, at_most=DAY)
