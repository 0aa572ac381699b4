"""Links: addresses by which one blob or one folder of replicas is read without an account."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from glare.domain.actor import Actor


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `maker` is who made it: reading by the link is reading as the maker would, when it is read. What the
    maker's credential is limited to is not kept here: the credential is looked up then. Its source is empty where an
    older release has made the link.

    `path` is ``field`` or ``field/key`` of the artifact. `uses_left` is None where the number of uses is not limited;
    times are in microseconds.
    """

    id: str
    maker: Actor
    project: str
    type_name: str
    artifact_id: str
    path: str
    created_at: int
    expires_at: int
    network: IPv4Network | IPv6Network | None
    uses_left: int | None
    description: str

    def is_open(self, now: int) -> bool:
        """Whether it can be used at this time."""
        return now < self.expires_at and self.uses_left != 0

    def admits(self, address: str | None) -> bool:
        """Whether a reader at this address may use it. An IPv4 address inside IPv6 counts as IPv4."""
        if self.network is None:
            return True
        try:
            found = ip_address(address or "")
        except ValueError:
            return False
        return (getattr(found, "ipv4_mapped", None) or found) in self.network
