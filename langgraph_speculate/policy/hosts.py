"""What a host is, and how two compare: in one normal form, label by label.

Hosts are read as browsers and C libraries read them: names by UTS 46 and IDNA 2008 (RFC 5891), numbers as IPv4 in all
the spellings that `inet_aton` takes (WHATWG URL, section 3.5). Where in a call hosts stand is the business of
`core/destinations.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

_LONGEST = 1000  # characters of what may still become a host
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[0-9]{0,5}")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{0,5}))?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")  # ipaddress would take a zone, which means nothing to anybody else
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
# Names that never leave a network: RFC 6761, 6762, 8375, 7686, ICANN's .internal, and what routers and offices use.
_INWARD = {"alt", "arpa", "internal", "invalid", "local", "localhost", "onion", "test"}
_INWARD |= {"corp", "home", "intranet", "lan", "localdomain", "private"}
# What serves a machine its secrets at an address that looks public (Azure, Oracle); others are link-local or private.
_METADATA = frozenset({"168.63.129.16", "192.0.0.192"})


def normal_host(text: str) -> str | None:
    """Return the one form of a host, without port, brackets and trailing dot, or None for what is no host.

    >>> normal_host("Docs.Python.ORG.:443"), normal_host("bücher.example"), normal_host("0x7f.1")
    ('docs.python.org', 'xn--bcher-kva.example', '127.0.0.1')
    >>> normal_host("[::FFFF:8.8.8.8]:80"), normal_host("user@example.org"), normal_host("a b.org")
    ('8.8.8.8', None, None)
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return None
    host = _without_port(text)
    if host is None:
        return None
    if ":" in host:
        return _ipv6(host)
    name = _ascii_name(host)
    if name is None:
        return None
    return _ipv4(name) if _NUMBER.fullmatch(name.rpartition(".")[2]) else name


def host_problem(pattern: str) -> str | None:
    """What is wrong with an entry of `allowed_hosts`, or None.

    >>> host_problem("*.example.org")
    >>> host_problem("https://example.org/a")
    "'https://example.org/a' is no host: give the host alone, without scheme, path or port, such as 'docs.python.org'"
    """
    wild = pattern.startswith("*.")
    name = pattern[2:] if wild else pattern
    if "*" in name:
        return f"{pattern!r}: a '*' can only stand for all subdomains, at the beginning, such as '*.example.org'"
    host = normal_host(name)
    if host is None or _has_port(name):
        return f"{pattern!r} is no host: give the host alone, without scheme, path or port, such as 'docs.python.org'"
    if wild and address_of(host) is not None:
        return f"{pattern!r}: an address has no subdomains; give it alone"
    if wild and "." not in host:
        return f"{pattern!r} would allow every host under .{host}; name the domain, such as '*.example.{host}'"
    complaint = not_public(host)
    return f"{pattern!r} {complaint}; only public hosts can be allowed" if complaint else None


def is_allowed(host: str, patterns: Iterable[str]) -> bool:
    """Whether *host* is one of *patterns*, or a true subdomain of one that begins with `*.`.

    >>> is_allowed("API.example.org", ["*.example.org"]), is_allowed("evilexample.org", ["*.example.org"])
    (True, False)
    >>> is_allowed("example.org.evil.com", ["example.org"]), is_allowed("example.org", ["*.example.org"])
    (False, False)
    """
    name = normal_host(host)
    return name is not None and any(_matches(name, pattern) for pattern in patterns)


def unicode_of(host: str) -> str:
    """A normal host as people write it.

    >>> unicode_of("xn--bcher-kva.example")
    'bücher.example'
    """
    try:
        return idna.decode(host) if "xn--" in host else host
    except (UnicodeError, ValueError, IndexError):
        return host


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a normal host is, or None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def not_public(host: str) -> str | None:
    """Why a normal host is none of the public internet, as the end of a sentence, or None.

    >>> not_public("169.254.169.254"), not_public("printer.local"), not_public("docs.python.org")
    ('is no public address', 'is no public name', None)
    """
    address = address_of(host)
    if address is None:
        end = host.rpartition(".")
        return "is no public name" if not end[1] or end[2] in _INWARD else None
    if isinstance(address, IPv6Address):
        # What is outside of 2000::/3, or holds an IPv4 address to be unpacked elsewhere (6to4, Teredo), reaches who
        # knows whom.
        odd = address.packed[0] >> 5 != 1 or address.sixtofour is not None or address.teredo is not None
    else:
        odd = host in _METADATA
    inward = odd or not address.is_global or address.is_private or address.is_reserved or address.is_multicast
    return "is no public address" if inward else None


def _matches(name: str, pattern: str) -> bool:
    wild = pattern.startswith("*.")
    wanted = normal_host(pattern[2:] if wild else pattern)
    if wanted is None:
        return False
    if not wild:
        return name == wanted
    labels, tail = name.split("."), wanted.split(".")
    if len(tail) < 2 or address_of(wanted) is not None or address_of(name) is not None:
        return False
    # By labels: as text, `evilexample.org` ends like `example.org`.
    return len(labels) > len(tail) and labels[-len(tail) :] == tail


def _without_port(text: str) -> str | None:
    if text.startswith("["):
        found = _BRACKETED.fullmatch(text)
        return found[1] if found and ":" in found[1] and _is_port(found[2] or "") else None
    if text.count(":") != 1:
        return text  # an IPv6 address without brackets can have no port
    host, _, port = text.partition(":")
    return host if _is_port(port) else None


def _has_port(text: str) -> bool:
    return text.startswith("[") or text.count(":") == 1


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and int(text or "0") < 65536


def _ipv6(text: str) -> str | None:
    try:
        address = IPv6Address(text) if _IPV6.fullmatch(text) else None
    except AddressValueError:
        return None
    if address is None:
        return None
    return str(address.ipv4_mapped or address)


def _ascii_name(text: str) -> str | None:
    """A name in lower-case ASCII without its trailing dot, every label valid, or None."""
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (UnicodeError, ValueError, IndexError):
            return None
    name = text.lower().removesuffix(".")
    valid = len(name) <= 253 and all(_LABEL.fullmatch(label) and _is_true(label) for label in name.split("."))
    return name if valid else None


def _is_true(label: str) -> bool:
    """Whether a label says what it is: Punycode that decodes to nothing, or to something else, is refused."""
    if not label.startswith("xn--"):
        return True
    try:
        return idna.alabel(idna.ulabel(label)).decode("ascii") == label
    except (UnicodeError, ValueError, IndexError):
        return False


def _ipv4(name: str) -> str | None:
    """A name that ends in a number as dotted decimals: one to four parts, decimal, octal (`0`) or hex (`0x`)."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        *first, last = [_number(part) for part in parts]
    except ValueError:  # an octal number with an 8 or a 9
        return None
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(parts)):
        return None
    return str(IPv4Address(sum(number << 8 * (3 - at) for at, number in enumerate(first)) + last))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)
