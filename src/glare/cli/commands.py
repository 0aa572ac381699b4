"""The commands, as a table: how each is called, what its help says, and the function that runs it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

PROGRAM: Final = "glare-server"
"""What the command is called. `glare` alone is the command of python-glareclient."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `runs` names the function `module:function`, imported when the command is given. One that prints a
    `table` prints it as JSON too.
    """

    path: tuple[str, ...]
    summary: str
    description: str
    runs: str
    arguments: Callable[[ArgumentParser], None]
    examples: tuple[str, ...]
    table: bool = False
    exit_codes: tuple[str, ...] = ()
    """Those that only this command has."""


GROUPS: Mapping[tuple[str, ...], str] = {
    ("backup",): "see whether a database and its stores belong together",
    ("db",): "bring the database to this version, or look whether it is there",
    ("token",): "make, list and revoke tokens",
    ("identity",): "see who a caller would be",
    ("publishers",): "let builds publish with the token of their platform",
    ("audit",): "see who changed what",
    ("locations",): "see external locations, and have them checked",
    ("members",): "see with whom an artifact is shared, and end that",
    ("links",): "see the links by which blobs are read without an account, and end them",
    ("takedown",): "keep contents, hosts and URLs from being read, requested and recorded",
    ("stores",): "see where bytes are kept, try a store, and move blobs from one to another",
    ("config",): "see what is configured, what can be, and what is wrong with it",
    ("policy",): "see who may do what",
    ("types",): "look at artifact types, and try one's own",
}
"""What each group of commands is for."""

ALIASES: Mapping[tuple[str, ...], tuple[str, ...]] = {("stores",): ("store",)}
"""Other names of groups."""


def _nothing(_: ArgumentParser) -> None:
    pass


def _serve(parser: ArgumentParser) -> None:
    parser.add_argument("--bind-host", metavar="ADDRESS", help="address to listen on, instead of the configured one")
    parser.add_argument("--bind-port", metavar="PORT", help="TCP port to listen on, instead of the configured one")
    parser.add_argument(
        "--workers", metavar="N", help="server processes, instead of the configured number; 0 is one per CPU"
    )
    parser.add_argument(
        "--no-worker",
        action="store_true",
        help="leave background work to `glare-server worker`; somewhere one has to run",
    )
    parser.add_argument(
        "--quickstart",
        action="store_true",
        help="also bring the database to this version, make a token, and print a curl line to try",
    )


def _scrub(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--daemon", action="store_true", help="go on every [scrubber] wakeup_time, until SIGTERM or Ctrl-C"
    )


def _of_stores(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        action="append",
        default=[],
        metavar="NAME",
        help="check this store only; may be repeated (default: all)",
    )
    parser.add_argument(
        "--rate",
        metavar="SIZE",
        help="bytes a second to read at most, such as 20MiB, instead of [fsck] rate; 0 is no limit",
    )


def _backup_check(parser: ArgumentParser) -> None:
    _of_stores(parser)
    parser.add_argument(
        "--bytes", action="store_true", help="also read all bytes and compare their sha256; else names and sizes only"
    )


def _fsck(parser: ArgumentParser) -> None:
    _of_stores(parser)
    parser.add_argument(
        "--restart", action="store_true", help="begin anew, rather than go on where the last check was interrupted"
    )
    parser.add_argument(
        "--remove-orphans", action="store_true", help="remove objects that no blob has, rather than report them"
    )


def _upgrade(parser: ArgumentParser) -> None:
    parser.add_argument(
        "revision", nargs="?", default="head", metavar="REVISION", help="revision to reach (default: the newest)"
    )


def _downgrade(parser: ArgumentParser) -> None:
    parser.add_argument(
        "revision", metavar="REVISION", help="revision to go back to; `base` removes all tables and everything in them"
    )
    parser.add_argument("--yes", action="store_true", help="do it: what the undone revisions stored is lost")


def _token_create(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--project", required=True, metavar="ID", help="project that the token acts for; it owns what is created"
    )
    parser.add_argument("--user", required=True, metavar="ID", help="user that the token stands for")
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE",
        help="role that the token gives, such as member or admin; may be repeated (default: member)",
    )
    parser.add_argument(
        "--label", default="", metavar="TEXT", help="a note to recognise the token by, shown in the list"
    )
    parser.add_argument("--read-only", action="store_true", help="the token may only read")
    for name, metavar, about in (
        ("type", "TYPE", "type whose artifacts the token is for, and for nothing else"),
        ("name", "PATTERN", "name of artifacts that the token may change, in which * stands for any characters"),
        ("network", "NETWORK", "network that the token may be used from, such as 192.0.2.0/24"),
    ):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=metavar, help=f"{about}; may be repeated (default: all)"
        )
    parser.add_argument(
        "--expires",
        metavar="DURATION",
        help="how long it is valid, with its unit, such as 12h, 30d or 52w (default: until it is revoked)",
    )


def _token_revoke(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="id of the token, as `glare-server token list` prints it")
    parser.add_argument("--user", metavar="ID", help="revoke all tokens of this user instead")
    parser.add_argument("--project", metavar="ID", help="with --user: those of this project only")


def _identity_explain(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--token", default="-", metavar="FILE", help="file with the token, or - for standard input (default: -)"
    )
    parser.add_argument("--project", metavar="ID", help="the project that X-Glare-Project would name")


def _publishers_add(parser: ArgumentParser) -> None:
    parser.add_argument("--project", required=True, metavar="ID", help="project that builds may publish into")
    parser.add_argument("--issuer", required=True, metavar="NAME", help="name of the issuer in the file of issuers")
    parser.add_argument(
        "--claim",
        action="append",
        required=True,
        metavar="NAME=PATTERN",
        help="what a claim must be, such as ref=refs/heads/main; may be repeated, and all must match",
    )
    for name, text in (
        ("role", "role of the builds (default: member)"),
        ("type", "type of artifacts that they may see and change (default: all)"),
        ("name", "name of artifacts that they may change, in which * stands for any characters (default: all)"),
    ):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=f"{text}; may be repeated"
        )
    parser.add_argument("--description", default="", metavar="TEXT", help="a note, shown in the list")


def _publishers_list(parser: ArgumentParser) -> None:
    for name, metavar, text in (
        ("project", "ID", "of this project"),
        ("limit", "N", "so many at most (default: 100)"),
        ("marker", "MARKER", "after this place"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _publishers_remove(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the publisher, as `glare-server publishers list` prints it")


def _audit_list(parser: ArgumentParser) -> None:
    for name, metavar, text in (
        ("user", "ID", "who did it"),
        ("project", "ID", "the project of who did it"),
        ("artifact", "ID", "the artifact that it was done to"),
        ("type", "TYPE", "the type of that artifact"),
        ("action", "ACTION", "what was done, such as create, upload or token_create"),
        ("outcome", "OUTCOME", "done or refused"),
        ("request-id", "ID", "the request, as req-..."),
        ("source", "NAME", "how the user was known, such as tokens, keystone or command"),
        ("credential", "ID", "what was used: the id of a token, or publisher:ID"),
        ("since", "TIME", "from this time or date on, such as 2026-01-31T12:00:00Z"),
        ("until", "TIME", "before this time or date"),
        ("limit", "N", "so many at most (default: 100)"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _locations_list(parser: ArgumentParser) -> None:
    for name, metavar, text in (
        ("state", "STATE", "in this state: unverified, verified, changed or unreachable"),
        ("host", "HOST", "of this host"),
        ("project", "ID", "of artifacts of this project"),
        ("artifact", "ID", "of this artifact"),
        ("limit", "N", "so many at most (default: 100)"),
        ("marker", "ID", "after this location"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _location(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the location, as `glare-server locations list` prints it")


def _locations_check(parser: ArgumentParser) -> None:
    _location(parser)
    parser.add_argument(
        "--kind",
        choices=("conditional", "spot", "full"),
        default="full",
        help="what to ask of the origin (default: full, the whole body)",
    )


def _members_list(parser: ArgumentParser) -> None:
    parser.add_argument("artifact", metavar="ARTIFACT", help="id of the artifact")
    for name, metavar, text in (
        ("limit", "N", "so many at most (default: 100)"),
        ("marker", "PROJECT", "after this project"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _members_remove(parser: ArgumentParser) -> None:
    parser.add_argument("artifact", metavar="ARTIFACT", help="id of the artifact")
    parser.add_argument("project", metavar="PROJECT", help="the member, as `glare-server members list` prints it")


def _links_list(parser: ArgumentParser) -> None:
    _of_links(parser)
    for name, metavar, text in (
        ("limit", "N", "so many at most (default: 100)"),
        ("marker", "ID", "after this link"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _links_remove(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the link, as `glare-server links list` prints it")


def _of_links(parser: ArgumentParser) -> None:
    for name, text in (
        ("project", "of this project"),
        ("artifact", "to this artifact"),
        ("user", "made by this user"),
    ):
        parser.add_argument(f"--{name}", metavar="ID", help=text)


def _takedown_add(parser: ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help="digest, host or url")
    parser.add_argument(
        "value", metavar="VALUE", help="the sha256 of a content, the name or address of a host, or a URL"
    )
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="a note for administrators; readers never see it"
    )


def _takedown_list(parser: ArgumentParser) -> None:
    for name, metavar, text in (
        ("kind", "KIND", "of this kind: digest, host or url"),
        ("limit", "N", "so many at most (default: 100)"),
        ("marker", "ID", "after this takedown"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def _takedown_remove(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the takedown, as `glare-server takedown list` prints it")


def _stores_one(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the store, as `glare-server stores list` prints it")


def _stores_drain(parser: ArgumentParser) -> None:
    _stores_one(parser)
    parser.add_argument("--to", required=True, metavar="STORE", help="name of the store that the blobs go to")
    parser.add_argument(
        "--rate",
        metavar="SIZE",
        help="bytes a second to read at most, such as 20MiB, instead of [moving] rate; 0 is no limit",
    )
    parser.add_argument("--parallel", metavar="N", help="blobs on their way at once, instead of [moving] parallel")


def _stores_move(parser: ArgumentParser) -> None:
    _stores_drain(parser)
    parser.add_argument("--type", metavar="TYPE", help="move blobs of this artifact type only")
    parser.add_argument("--project", metavar="PROJECT", help="move blobs of this project's artifacts only")


def _stores_adopt(parser: ArgumentParser) -> None:
    _stores_one(parser)
    parser.add_argument(
        "--without-bytes",
        action="store_true",
        help="also where none of the store's bytes are there: their records stay, and their blobs answer 404",
    )


def _config_show(parser: ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", metavar="GROUP", help="options of this group only, such as locations")
    parser.add_argument("--changed", action="store_true", help="leave out options that have their default")


def _types_show(parser: ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="name of the type")


def _types_check(parser: ArgumentParser) -> None:
    parser.add_argument(
        "module", nargs="+", metavar="MODULE", help="importable name of a Python module that declares types"
    )


COMMANDS = (
    Command(
        ("init",),
        "set up what the configuration names and is not there yet",
        "Make the directory of state, the tables of the database, the key file and the directory of "
        "blobs, where they are missing; what is there stays, and older tables become those of this version. "
        "But for `serve --quickstart`, no other command makes what is not there.",
        "glare.cli.init:init",
        _nothing,
        ("glare-server init", "glare-server init --config-file /etc/glare/glare.conf"),
    ),
    Command(
        ("serve",),
        "start the service",
        "Start the service, and in it the background work. SIGTERM or Ctrl-C stops it.",
        "glare.cli.serve:serve",
        _serve,
        (
            "glare-server serve --quickstart",
            "glare-server serve --config-file /etc/glare/glare.conf",
            "glare-server serve --bind-host 0.0.0.0 --bind-port 8080 --no-worker",
        ),
    ),
    Command(
        ("worker",),
        "do the background work, in a process of its own",
        "Do the background work: finish deletions, undo dead uploads, hand out events. Any number may run. SIGTERM "
        "or Ctrl-C stops it.",
        "glare.cli.worker:worker",
        _nothing,
        ("glare-server worker --config-file /etc/glare/glare.conf",),
    ),
    Command(
        ("scrub",),
        "finish deletions that were delayed",
        "Remove the data of deleted artifacts whose [scrubber] scrub_time is over, and objects that nothing needs "
        "any more. The service does the same by itself every [scrubber] wakeup_time; this is for doing it now, or at "
        "a time of your own. Any number may run, beside the service too. What could not be removed earlier is tried "
        "again. Ends with 1 where something still could not be.",
        "glare.cli.scrub:scrub",
        _scrub,
        ("glare-server scrub --config-file /etc/glare/glare.conf", "glare-server scrub --daemon"),
    ),
    Command(
        ("fsck",),
        "read stored bytes again, and say what is not as it was recorded",
        "Read every stored blob and compare it with what was recorded, then look for objects that no blob has. What "
        "is missing, differs or cannot be read is printed and marked: it is answered with an error until a later "
        "check finds it restored. It goes on where an interrupted check stopped, and may run beside the service. Ends "
        "with 1 where something is wrong, or it was stopped.",
        "glare.cli.fsck:fsck",
        _fsck,
        (
            "glare-server fsck --config-file /etc/glare/glare.conf",
            "glare-server fsck --store file --rate 20MiB",
            "glare-server fsck --remove-orphans",
        ),
        table=True,
    ),
    Command(
        ("backup", "check"),
        "compare the database with its stores, in both directions",
        "Compare what the database needs with what its stores have, by names and sizes, and the identities of the "
        "stores with those that the database knows; then say what objects no blob needs. Changes nothing, neither "
        "marks nor markers: for a copy that was restored, before the service starts, and beside a service that runs. "
        "What is being uploaded, and what is due for removal, is counted and is no finding.",
        "glare.cli.backup:check",
        _backup_check,
        (
            "glare-server backup check --config-file /etc/glare/glare.conf",
            "glare-server backup check --bytes --rate 50MiB",
            "glare-server backup check -o json > check.json",
        ),
        table=True,
        exit_codes=("3  not whole: the database needs what is not there",),
    ),
    Command(
        ("db", "upgrade"),
        "bring the database to this version",
        "Make the database's tables, or change them to what this version needs. Does nothing when they are. "
        "A database that does not exist is made by `glare-server init`, or by the database server's own means.",
        "glare.cli.database:upgrade",
        _upgrade,
        ("glare-server db upgrade", "glare-server db upgrade --config-file /etc/glare/glare.conf"),
    ),
    Command(
        ("db", "downgrade"),
        "take the database back to an older version",
        "Undo changes of the database's tables. What the undone revisions stored is lost, so it has to be confirmed "
        "with --yes.",
        "glare.cli.database:downgrade",
        _downgrade,
        ("glare-server db downgrade 0001 --yes",),
    ),
    Command(
        ("db", "check"),
        "see whether the database fits this version",
        "See whether the database has the tables that this version needs. Changes nothing; exit code 1 when it has "
        "not.",
        "glare.cli.database:check",
        _nothing,
        ("glare-server db check || glare-server db upgrade",),
    ),
    Command(
        ("token", "create"),
        "make a token",
        "Make a token. It is printed once, alone on standard output; only a hash of it is kept.",
        "glare.cli.tokens:create",
        _token_create,
        (
            "glare-server token create --project demo --user alice",
            "TOKEN=$(glare-server token create --project demo --user ci --expires 30d --label 'nightly build')",
            "glare-server token create --project ops --user root --role admin",
            "glare-server token create --project demo --user ci --type images --name 'nightly-*' --expires 30d",
        ),
    ),
    Command(
        ("token", "list"),
        "list the tokens",
        "List the tokens, never the secrets themselves.",
        "glare.cli.tokens:list_tokens",
        _nothing,
        ("glare-server token list",),
        table=True,
    ),
    Command(
        ("token", "show"),
        "print the token of `serve --quickstart`",
        "Print the token that `serve --quickstart` keeps in the directory of state, alone on standard output. "
        "Of all other tokens only a hash is kept.",
        "glare.cli.tokens:show",
        _nothing,
        ("TOKEN=$(glare-server token show)",),
    ),
    Command(
        ("token", "revoke"),
        "make a token invalid",
        "Make a token invalid, or all of a user, and what was made with them. Running services refuse them within "
        "seconds.",
        "glare.cli.tokens:revoke",
        _token_revoke,
        ("glare-server token revoke 4f1c2a", "glare-server token revoke --user alice --project demo"),
    ),
    Command(
        ("token", "import"),
        "take over the tokens of the token file",
        "Put the tokens of the token file into the database, where they stay valid, and rename the file. Where several "
        "nodes have such a file, do this on each.",
        "glare.cli.tokens:take_over_file",
        _nothing,
        ("glare-server token import",),
    ),
    Command(
        ("identity", "explain"),
        "see who a signed token would be, and why",
        "Verify a signed token as the service does with [oidc], and print each step: form, issuer, signature, times, "
        "each rule, each publisher. Nothing is changed. Exit code 1 where the token lets nobody in.",
        "glare.cli.identity.explain:explain",
        _identity_explain,
        (
            "glare-server identity explain --token token.jwt",
            "glare-server identity explain --project images < token.jwt",
        ),
        table=True,
    ),
    Command(
        ("publishers", "add"),
        "let builds publish into a project",
        "Let builds whose tokens have these claims publish into a project. Managers of a project do the same through "
        "the API, at /publishers. The id is printed.",
        "glare.cli.identity.publishers:add",
        _publishers_add,
        (
            "glare-server publishers add --project demo --issuer github --claim repository_id=1 --claim ref=main",
            "glare-server publishers add --project demo --issuer ci --claim sub=system:serviceaccount:ci:build",
        ),
    ),
    Command(
        ("publishers", "list"),
        "list the builds that may publish",
        "List the publishers of all projects, or of one, newest first.",
        "glare.cli.identity.publishers:list_publishers",
        _publishers_list,
        ("glare-server publishers list --project images",),
        table=True,
    ),
    Command(
        ("publishers", "remove"),
        "let builds publish no more",
        "Delete a publisher. All nodes refuse its builds within [oidc] publisher_time.",
        "glare.cli.identity.publishers:remove",
        _publishers_remove,
        ("glare-server publishers remove 0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1",),
    ),
    Command(
        ("audit", "list"),
        "list who changed what",
        "List the newest entries of the audit log: who changed what, and what was refused. The API has more of each, "
        "at /audit.",
        "glare.cli.audit:list_audit",
        _audit_list,
        (
            "glare-server audit list --since 2026-01-31 --project demo",
            "glare-server audit list --outcome refused --limit 20",
        ),
        table=True,
    ),
    Command(
        ("locations", "list"),
        "list external locations",
        "List external locations of all projects: their state, the time of the last proof, and their URL; of "
        "confidential ones scheme and host.",
        "glare.cli.locations:list_locations",
        _locations_list,
        (
            "glare-server locations list --state changed",
            "glare-server locations list --host mirror.example.org --limit 20",
        ),
        table=True,
    ),
    Command(
        ("locations", "show"),
        "show one external location and its history",
        "Show what is known of one external location, and what its checks have found, newest first.",
        "glare.cli.locations:show",
        _location,
        ("glare-server locations show 0123456789abcdef0123456789abcdef",),
        table=True,
    ),
    Command(
        ("locations", "check"),
        "check one external location now",
        "Ask the origin now, in this process, and store what comes of it as the background work does. Exit code 1 "
        "unless it is equal.",
        "glare.cli.locations:check",
        _locations_check,
        (
            "glare-server locations check 0123456789abcdef0123456789abcdef",
            "glare-server locations check --kind spot 0123456789abcdef0123456789abcdef",
        ),
    ),
    Command(
        ("members", "list"),
        "list the projects that an artifact is shared with",
        "List the members of an artifact, by project, with what each has decided: the lists of those that have "
        "accepted it show it.",
        "glare.cli.members:list_members",
        _members_list,
        ("glare-server members list 0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1",),
        table=True,
    ),
    Command(
        ("members", "remove"),
        "share an artifact with a project no more",
        "Take a member away from an artifact, which it does not see any more from then on. Its owner may add it again.",
        "glare.cli.members:remove",
        _members_remove,
        ("glare-server members remove 0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1 builders",),
    ),
    Command(
        ("links", "list"),
        "list the links by which blobs are read without an account",
        "List links of all projects, by id, never their addresses. Those that have ended stay for [links] retention.",
        "glare.cli.identity.links:list_links",
        _links_list,
        ("glare-server links list --project images", "glare-server links list --user alice -o json"),
        table=True,
    ),
    Command(
        ("links", "remove"),
        "end a link",
        "End a link: on all nodes it leads nowhere from then on.",
        "glare.cli.identity.links:remove",
        _links_remove,
        ("glare-server links remove 0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1",),
    ),
    Command(
        ("links", "remove-all"),
        "end all links of a project, to an artifact or of a user",
        "End all links that fit what is given: on all nodes they lead nowhere from then on. This belongs to what is "
        "done when somebody leaves whose account is not Glare's.",
        "glare.cli.identity.links:remove_all",
        _of_links,
        ("glare-server links remove-all --user alice", "glare-server links remove-all --project images"),
    ),
    Command(
        ("takedown", "add"),
        "take down a content, a host or a URL",
        "Keep a content (by its sha256), a host with all names below it, or a URL from being read, requested and "
        "recorded. Readers are answered 451; the records stay. Every process obeys at once. The id is printed.",
        "glare.cli.takedowns:add",
        _takedown_add,
        (
            "glare-server takedown add host files.example.org --reason 'notice 2026-17'",
            "glare-server takedown add url https://files.example.org/disk.img --reason 'notice 2026-18'",
        ),
    ),
    Command(
        ("takedown", "list"),
        "list what is taken down",
        "List what is taken down. Of URLs their query is left out; the API has it.",
        "glare.cli.takedowns:list_takedowns",
        _takedown_list,
        ("glare-server takedown list --kind host",),
        table=True,
    ),
    Command(
        ("takedown", "remove"),
        "undo a takedown",
        "Undo a takedown: what it was about can be read, requested and recorded again at once.",
        "glare.cli.takedowns:remove",
        _takedown_remove,
        ("glare-server takedown remove 0b9cb3a6-3a37-4fd5-a8c3-90f7e4b2c7a1",),
    ),
    Command(
        ("stores", "list"),
        "list the stores, as the database knows them and as this node finds them",
        "List the stores: the identity that the database knows each by, and the one that this node finds at its "
        "place. Exit code 1 where they differ: this node does not work then.",
        "glare.cli.stores.places:list_stores",
        _nothing,
        ("glare-server stores list",),
        table=True,
    ),
    Command(
        ("stores", "show"),
        "show where a store is, what is in it, and what goes there",
        "Show a store: its driver and place, what it holds, whether it takes new bytes, and for whom.",
        "glare.cli.stores.places:show",
        _stores_one,
        ("glare-server stores show archive",),
        table=True,
    ),
    Command(
        ("stores", "check"),
        "try whether a store does what it must do",
        "Ask a store whether it is at its place; then write an object, read it, and remove it again. One that is "
        "read-only is only asked. Exit code 1 where something fails.",
        "glare.cli.stores.places:check",
        _stores_one,
        ("glare-server stores check archive",),
        table=True,
    ),
    Command(
        ("stores", "move"),
        "move blobs from one store to another",
        "Move the blobs of a store to another one, all of them or those of a type or project, while the service runs. "
        "Each is compared with its recorded sha256 on the way; what is not as recorded stays where it is, and is "
        "marked and printed. Interrupt it at any time: the next one goes on. Several may run at once. Ends with 1 "
        "where a blob could not be moved, or it was stopped.",
        "glare.cli.stores.moving:move",
        _stores_move,
        (
            "glare-server stores move file --to archive",
            "glare-server stores move file --to hot --type images --rate 20MiB",
            "glare-server stores move hot --to archive --project 3f0c1d",
        ),
        table=True,
    ),
    Command(
        ("stores", "drain"),
        "move all blobs out of a store that is to be given up",
        "Move all blobs of a read-only store to another one, as `glare-server stores move` does, until no blob needs "
        "it. Ends with 0 once it may leave the configuration, and with 1 before.",
        "glare.cli.stores.moving:drain",
        _stores_drain,
        ("glare-server stores drain file --to archive",),
        table=True,
    ),
    Command(
        ("stores", "adopt"),
        "tell the database that a store is at another place now",
        "Record that the place which this node is configured with is the store from now on: after a move to another "
        "directory that has a marker of its own, or where the bytes were lost for good. Stop all nodes first. A copy "
        "with its marker, such as one by `rsync -a`, needs no command.",
        "glare.cli.stores.places:adopt",
        _stores_adopt,
        ("glare-server stores adopt file", "glare-server stores adopt file --without-bytes"),
    ),
    Command(
        ("config", "check"),
        "see whether the service would start with this configuration",
        "Read the configuration as `serve` does, and say all that is wrong with it: values, names that are no options, "
        "files that cannot be used, artifact types and policy rules. A bucket that is named is asked whether it is "
        "there and takes the credentials. Exit code 1 where the service would not start.",
        "glare.cli.config:check",
        _nothing,
        ("glare-server config check --config-file /etc/glare/glare.conf",),
    ),
    Command(
        ("config", "show"),
        "see the options in effect, and where each comes from",
        "Print every option with its value and where that comes from: a file and its line, the environment or the "
        "default. Paths are whole; passwords, and URLs that may hold one, are not shown.",
        "glare.cli.config:show",
        _config_show,
        ("glare-server config show --changed", "glare-server config show locations -o json"),
        table=True,
    ),
    Command(
        ("config", "sample"),
        "print a configuration file with every option",
        "Print a configuration file with every option, explained, at its default.",
        "glare.cli.samples:config",
        _nothing,
        ("glare-server config sample > glare.conf",),
    ),
    Command(
        ("policy", "sample"),
        "print a policy file with every rule",
        "Print a policy file with every rule, explained, at its default. See [oslo_policy] policy_file.",
        "glare.cli.samples:policy",
        _nothing,
        ("glare-server policy sample > policy.yaml",),
    ),
    Command(
        ("types", "list"),
        "list the artifact types",
        "List the artifact types that are installed, and whether the configuration enables them.",
        "glare.cli.types:list_types",
        _nothing,
        ("glare-server types list",),
        table=True,
    ),
    Command(
        ("types", "show"),
        "print one artifact type's fields",
        "Print the JSON Schema of one artifact type, as the API answers it.",
        "glare.cli.types:show",
        _types_show,
        ("glare-server types show images",),
    ),
    Command(
        ("types", "check"),
        "try modules with types of one's own",
        "Load modules that declare artifact types, and say what is wrong with them; exit code 1 when something is.",
        "glare.cli.types:check",
        _types_check,
        ("glare-server types check mycompany.artifact_types",),
    ),
)
"""Every command, in the order of the help."""
