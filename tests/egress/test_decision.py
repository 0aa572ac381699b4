from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glare.egress.decision import UNREACHABLE, Address, EgressRules, check_host, decide, objection
from glare.errors import LocationRefused

CLOSED = EgressRules()

IPV4 = st.integers(0, 2**32 - 1).map(IPv4Address)
BAD_IPV4 = st.one_of(
    *(
        st.integers(int(network[0]), int(network[-1])).map(IPv4Address)
        for network in map(
            ipaddress.IPv4Network,
            [
                *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
                *("192.168.0.0/16", "224.0.0.0/3", "198.18.0.0/15", "168.63.129.16/32"),
            ],
        )
    )
)
WRAPPINGS = {
    "mapped": lambda v4: 0xFFFF << 32 | v4,
    "compatible": lambda v4: v4,
    "translated": lambda v4: 0xFFFF << 48 | v4,
    "nat64": lambda v4: 0x64FF9B << 96 | v4,
    "nat64 local": lambda v4: 0x64FF9B0001 << 80 | v4,
    "6to4": lambda v4: 0x2002 << 112 | v4 << 80 | 1,
    "teredo client": lambda v4: 0x20010000 << 96 | 0x08080808 << 64 | (v4 ^ 0xFFFFFFFF),
    "teredo server": lambda v4: 0x20010000 << 96 | v4 << 64 | (0x08080808 ^ 0xFFFFFFFF),
}


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"])
def test_global_addresses(text: str) -> None:
    """Global unicast addresses are allowed, also through the well-known NAT64 prefix."""
    assert decide([ip_address(text)], CLOSED) == (ip_address(text),)


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1"),
        *("168.63.129.16", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.19.0.1", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe"),
        *("64:ff9b:1::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:808:808::1", "2001::1", "fe80::1"),
        *(
            "fe80::1%eth0",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ),
        *("4000::1", "2001:10::1", "2001:2::1"),
    ],
)
def test_forbidden_addresses(text: str) -> None:
    """What is not global unicast is forbidden, in every embedding, with one message; the reason names the address."""
    with pytest.raises(LocationRefused) as caught:
        decide([ip_address(text)], CLOSED)
    assert caught.value.message == UNREACHABLE
    assert str(ip_address(text)) in caught.value.reason


@given(BAD_IPV4, st.sampled_from(sorted(WRAPPINGS)))
def test_no_wrapping_hides_a_forbidden_address(address: IPv4Address, wrapping: str) -> None:
    """A forbidden IPv4 address stays forbidden in every IPv6 form that carries one."""
    assert objection(IPv6Address(WRAPPINGS[wrapping](int(address))), CLOSED) is not None


@given(BAD_IPV4, st.sampled_from(sorted(WRAPPINGS)))
def test_opening_the_outside_does_not_open_the_inside(address: IPv4Address, wrapping: str) -> None:
    """Opening all of IPv6 opens no forbidden IPv4 address that is carried in it."""
    rules = EgressRules(opened=(ip_network("::/0"),), nat64=(IPv6Network("64:ff9b:1::/96"),))
    assert objection(IPv6Address(WRAPPINGS[wrapping](int(address))), rules) is not None or int(address) <= 1


def _oracle(address: Address) -> bool:
    """Whether Python's own tables, with what is known to be missing from them, call the address global unicast."""
    value = int(address)
    if isinstance(address, IPv6Address):
        if value >> 32 in (0xFFFF, 0x64FF9B << 64):
            return _oracle(IPv4Address(value & 0xFFFFFFFF))
        special = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]
        return value >> 125 == 1 and not any(address in ip_network(network) for network in special)
    more = ["192.0.0.0/24", "168.63.129.16/32", "192.88.99.0/24", "224.0.0.0/3"]
    return address.is_global and not address.is_multicast and not any(address in ip_network(net) for net in more)


WRAPPED = st.builds(lambda v4, kind: IPv6Address(WRAPPINGS[kind](int(v4))), IPV4, st.sampled_from(sorted(WRAPPINGS)))
UNICAST6 = st.integers(0x2000 << 112, 0x4000 << 112).map(IPv6Address)


@given(st.one_of(IPV4, BAD_IPV4, UNICAST6, WRAPPED, st.integers(0, 2**128 - 1).map(IPv6Address)))
@example(IPv6Address("64:ff9b::a9fe:a9fe"))
@example(IPv4Address("168.63.129.16"))
def test_decision_equals_the_oracle(address: Address) -> None:
    """The decision on one address is that of an independent oracle."""
    assert (objection(address, CLOSED) is None) == _oracle(address)


@given(st.lists(st.one_of(IPV4, BAD_IPV4, UNICAST6, WRAPPED), max_size=5))
def test_one_forbidden_address_refuses_all(addresses: list[Address]) -> None:
    """A name is allowed when it has addresses and all of them are allowed."""
    if addresses and all(_oracle(address) for address in addresses):
        assert len(decide(addresses, CLOSED)) >= 1
    else:
        with pytest.raises(LocationRefused):
            decide(addresses, CLOSED)


def test_mapped_addresses_come_back_plain() -> None:
    """An IPv4-mapped address is tried as the IPv4 address that it is, and a repeated one once."""
    assert decide([ip_address("::ffff:8.8.8.8"), ip_address("8.8.8.8")], CLOSED) == (ip_address("8.8.8.8"),)


def test_opened_networks() -> None:
    """A network that the operator opened may be reached, also in the mapped form, and nothing beside it."""
    rules = EgressRules(opened=(ip_network("10.0.0.0/8"), ip_network("::1/128")))
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "::1"):
        assert objection(ip_address(text), rules) is None
    for text in ("192.168.0.1", "127.0.0.1", "2002:a01:203::1", "fd00::1"):
        assert objection(ip_address(text), rules) is not None


def test_metadata_is_opened_only_by_name() -> None:
    """A wide opened network does not open the metadata endpoint inside it; a network of exactly that address does."""
    metadata = ip_address("169.254.169.254")
    assert objection(metadata, EgressRules(opened=(ip_network("0.0.0.0/0"),))) is not None
    assert objection(metadata, EgressRules(opened=(ip_network("169.254.169.254/32"),))) is None


def test_operator_endpoints() -> None:
    """The operator's own endpoints are forbidden by address in every form, and win over what is opened."""
    rules = EgressRules(opened=(ip_network("8.0.0.0/8"),), forbidden=(ip_network("8.8.8.0/24"),))
    for text in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert objection(ip_address(text), rules) is not None
    assert objection(ip_address("8.8.4.4"), rules) is None


def test_operator_hosts() -> None:
    """The operator's own names are forbidden with everything below them, and no other."""
    rules = EgressRules(forbidden_hosts=frozenset({"cloud.example"}))
    for host in ("cloud.example", "api.cloud.example"):
        with pytest.raises(LocationRefused):
            check_host(host, rules)
    check_host("mycloud.example", rules)


@pytest.mark.parametrize(
    ("prefix", "address"),
    [  # RFC 6052, section 2.4, for 192.0.2.33
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ],
)
def test_configured_nat64(prefix: str, address: str) -> None:
    """A configured NAT64 prefix of any length of RFC 6052 is unwrapped to the address that its examples carry."""
    rules = EgressRules(nat64=(IPv6Network(prefix),))
    assert "192.0.2.33" in (objection(ip_address(address), rules) or "")
    opened = EgressRules(nat64=(IPv6Network(prefix),), opened=(ip_network("192.0.2.33/32"),))
    assert objection(ip_address(address), opened) is None


def test_nat64_prefix_lengths() -> None:
    """A NAT64 prefix of another length is a configuration error."""
    with pytest.raises(ValueError, match="RFC 6052"):
        EgressRules(nat64=(IPv6Network("2001:db8::/33"),))
