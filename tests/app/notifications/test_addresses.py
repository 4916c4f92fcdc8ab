"""Where receivers may be: nobody has this machine call into its own network unasked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.notifications.addresses import ForbiddenAddressError, GuardedResolver, ReceiverPolicy, is_public
from optimizer.errors import InvalidInputError

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "no address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_recognised_whatever_it_is_wrapped_in(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="192.168.0.0/16"))
def test_no_private_network_is_public_when_mapped_to_ipv6(address: object) -> None:
    assert not is_public(str(address))
    assert not is_public(f"::ffff:{address}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/hook",
        "http://[::1]:8080/",
        "https://localhost/x",
        "https://intranet/x",
        "https://db.internal/x",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_a_url_into_a_private_network_is_refused_unless_named(url: str) -> None:
    with pytest.raises(InvalidInputError, match="private_hosts"):
        ReceiverPolicy(()).check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.0.0.1.",
        "8.8.8.8.",
        "x.8",
        "a.0x7f",
    ],
)
def test_an_address_in_a_form_that_only_resolvers_read_is_refused(host: str) -> None:
    with pytest.raises(InvalidInputError, match="four decimal numbers"):
        ReceiverPolicy(()).check_url(f"http://{host}/hook")


@pytest.mark.parametrize("host", ["localhost.", "a.localhost.", "db.internal.", "[::127.0.0.1]", "printer."])
def test_a_private_place_is_recognised_with_a_dot_at_its_end_and_in_old_forms(host: str) -> None:
    with pytest.raises(InvalidInputError, match="private_hosts"):
        ReceiverPolicy(()).check_url(f"http://{host}/hook")


@pytest.mark.parametrize("host", ["example..org", "..", "127.0.0.1%2e", "a%2eb.org"])
def test_what_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(InvalidInputError, match="host"):
        ReceiverPolicy(()).check_url(f"http://{host}/hook")


@pytest.mark.parametrize(
    "host", ["example.org", "example.org.", "4.example.org", "8.8.8.8", "b\u00fccher.de"]
)
def test_a_public_name_or_address_is_taken(host: str) -> None:
    assert ReceiverPolicy(()).check_url(f"http://{host}/hook")


def test_a_place_that_an_operator_has_named_may_be_called() -> None:
    policy = ReceiverPolicy(("intranet", "127.0.0.1:9000", "[::1]:9000"))
    for url in ("https://intranet/x", "http://127.0.0.1:9000/hook", "http://[::1]:9000/hook"):
        assert policy.check_url(url) == url
    with pytest.raises(InvalidInputError, match="private_hosts"):
        policy.check_url("http://127.0.0.1:9001/hook")


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "https://user:key@example.org", "https://example.org/#a", ""]
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        ReceiverPolicy(()).check_url(url)


async def test_a_name_that_leads_to_loopback_is_not_resolved() -> None:
    resolver = GuardedResolver(ReceiverPolicy(()))
    with pytest.raises(ForbiddenAddressError, match="private network"):
        await resolver.resolve("localhost", 80)
    named = GuardedResolver(ReceiverPolicy(("localhost:80",)))
    assert {item["host"] for item in await named.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}
    await resolver.close()
    await named.close()
