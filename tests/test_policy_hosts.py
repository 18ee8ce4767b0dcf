"""What a host is, how two compare, and where a call would be sent, against texts that were made to deceive."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from langgraph_speculate.core.destinations import destinations, hosts_named
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.hosts import host_problem, is_allowed, normal_host, not_public

ALLOWED = ("docs.python.org", "*.example.org")


def may_be_sent(args: Any, patterns: tuple[str, ...] = ALLOWED) -> bool:
    """Whether the destinations of *args* are all known and allowed."""
    hosts, complaint = destinations(args)
    return complaint is None and all(is_allowed(host, patterns) for host in hosts)


# -- one form for each host -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("docs.python.org", "docs.python.org"),
        ("DOCS.Python.ORG", "docs.python.org"),
        ("docs.python.org.", "docs.python.org"),
        ("docs.python.org:443", "docs.python.org"),
        ("docs.python.org:", "docs.python.org"),
        ("docs。python．org", "docs.python.org"),
        ("ｄｏｃｓ.ｐｙｔｈｏｎ.ｏｒｇ", "docs.python.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("r3---sn-abc.example.org", "r3---sn-abc.example.org"),
        ("localhost", "localhost"),
        ("8.8.8.8", "8.8.8.8"),
        ("8.8.8.8.", "8.8.8.8"),
        ("134744072", "8.8.8.8"),
        ("0x08080808", "8.8.8.8"),
        ("0X8.0x8.010.8", "8.8.8.8"),
        ("01002004010", "8.8.8.8"),
        ("8.8.2056", "8.8.8.8"),
        ("8.526344", "8.8.8.8"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("１２７．０．０．１", "127.0.0.1"),
        ("①②⑦.⓪.⓪.①", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8080", "::1"),
        ("::1", "::1"),
        ("2606:4700:0:0::1111", "2606:4700::1111"),
        ("[::FFFF:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
    ],
)
def test_every_spelling_of_a_host_has_one_form(text: str, host: str):
    """
    Case, trailing dots, ports, brackets, IDNA and the spellings of addresses make no difference.
    """
    assert normal_host(text) == host
    assert normal_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *["", ".", "..", "a..b", ".a.b", "a b.org", " docs.python.org", "docs.python.org ", "docs.python.org\n"],
        *["http://docs.python.org", "//docs.python.org", "docs.python.org/", "a@docs.python.org"],
        *["docs.python.org?x", "docs.python.org#x", "docs\\python.org", "docs%2epython.org", "docs.python.org:http"],
        *["docs.python.org:99999", "-a.org", "a-.org", "a_b.org", "*.example.org", "a" * 64 + ".org"],
        *[("a" * 60 + ".") * 5, "x" * 5000, "256.1.1.1", "1.2.3.4.5", "1.2.3.256", "08.1.1.1", "4294967296"],
        *["0x1ffffffff", "a.1", "1..2", "[::1", "::1]", "[]", "[1.2.3.4]", "[::1%25eth0]", "::1%eth0"],
        *["[fe80::1%eth0]", "[::g]", "1:2:3", "[::1]:x", "xn--a", "xn--docs-.org", "xn--ａ.org", "xn--99999999.org"],
        *["i❤.ws", "a\u2100b.com", "a\u200db.com", "a,b.com", "１.２.３.４.５", "docs.python.org:４４３"],
        *["docs.python.org：443"],
    ],
)  # fmt: skip
def test_what_is_no_host_has_no_form(text: str):
    """
    Nothing is repaired: whoever would have to guess says no.
    """
    assert normal_host(text) is None


@pytest.mark.parametrize("value", [None, 7, b"docs.python.org", ["docs.python.org"], 1.5, object()])
def test_only_text_is_a_host(value: Any):
    assert normal_host(value) is None


@settings(max_examples=1_000, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.text("abxn-.:[]0179fF%１。еßéx\u200d", max_size=24),
        st.from_regex(r"[0-9a-fx.]{1,20}", fullmatch=True),
    )
)
def test_the_normal_form_is_a_fixed_point(text: str):
    """
    Normalising twice is normalising once, and never raises.
    """
    host = normal_host(text)

    assert host is None or (normal_host(host) == host and host.isascii() and host == host.lower())


# -- the allow-list ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "patterns", "allowed"),
    [
        ("docs.python.org", ["docs.python.org"], True),
        ("DOCS.python.org.:443", ["docs.python.org"], True),
        ("docs.python.org", ["Docs.Python.org."], True),
        ("xn--bcher-kva.example", ["bücher.example"], True),
        ("a.example.org", ["*.example.org"], True),
        ("a.b.example.org", ["*.example.org"], True),
        ("a.EXAMPLE.org.", ["*.example.org"], True),
        ("8.8.8.8", ["8.8.8.8"], True),
        ("example.org", ["*.example.org"], False),
        ("evilexample.org", ["*.example.org"], False),
        ("evilexample.org", ["example.org"], False),
        ("a.example.org", ["example.org"], False),
        ("example.org.evil.com", ["example.org", "*.example.org"], False),
        ("a.example.org.evil.com", ["*.example.org"], False),
        ("evil.com", ["*"], False),
        ("evil.com", ["*.com"], False),
        ("evil.com", ["*."], False),
        ("evil.com", [""], False),
        ("1.8.8.8", ["*.8.8.8"], False),
        ("8.8.8.8", ["*.8.8"], False),
        ("a.example.org/x", ["*.example.org"], False),
        ("evil.com/.example.org", ["*.example.org"], False),
        ("evil.com#.example.org", ["*.example.org"], False),
        ("evil.com\\.example.org", ["*.example.org"], False),
        ("evil.com\x00.example.org", ["*.example.org"], False),
        ("evil.com%2f.example.org", ["*.example.org"], False),
        ("evil.com:80.example.org", ["*.example.org"], False),
        ("evil.com@a.example.org", ["*.example.org"], False),
        ("a.ехample.org", ["*.example.org"], False),
        ("docs.python.org", [], False),
        ("", ["docs.python.org"], False),
    ],
)
def test_hosts_are_compared_label_by_label(host: str, patterns: list[str], allowed: bool):
    """
    B29: after normalisation and never by the end of a text; a `*` stands for true subdomains only.
    """
    assert is_allowed(host, patterns) is allowed


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?", fullmatch=True)
NAME = st.lists(st.one_of(LABEL, st.sampled_from(["example", "org", "evil", "com"])), min_size=1, max_size=5).map(
    ".".join
)


@settings(max_examples=1_000, deadline=None)
@given(st.one_of(NAME, st.text(max_size=20)), NAME, st.sampled_from(["", ".", "evil", "-", ".evil.", "/", "@"]))
def test_nothing_is_allowed_but_the_host_itself_and_true_subdomains(host: str, domain: str, glue: str):
    """
    B29: for every host and pattern, an allowed host equals the pattern, or has its labels after at least one more.
    """
    for candidate in (host, host + glue + domain, domain + glue + host, host + "." + domain):
        if is_allowed(candidate, [domain]):
            assert normal_host(candidate) == normal_host(domain)
        if is_allowed(candidate, ["*." + domain]):
            labels, tail = str(normal_host(candidate)).split("."), str(normal_host(domain)).split(".")
            assert len(labels) > len(tail)
            assert labels[-len(tail) :] == tail


@pytest.mark.parametrize(
    "pattern", ["docs.python.org", "*.example.org", "*.example.co.uk", "bücher.example", "8.8.8.8", "Docs.Python.org."]
)
def test_a_host_or_a_domain_with_a_star_may_stand_in_the_policy(pattern: str):
    assert host_problem(pattern) is None
    assert ToolPolicy(read_only=True, open_world=True, allowed_hosts=[pattern]).allowed_hosts == (pattern,)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("https://docs.python.org", "without scheme, path or port"),
        ("docs.python.org/3", "without scheme, path or port"),
        ("docs.python.org:443", "without scheme, path or port"),
        ("[2606:4700::1111]", "without scheme, path or port"),
        ("user@docs.python.org", "without scheme, path or port"),
        ("docs python org", "without scheme, path or port"),
        ("*", "at the beginning"),
        ("docs.*.org", "at the beginning"),
        ("*docs.python.org", "at the beginning"),
        ("*.*.org", "at the beginning"),
        ("*.", "without scheme, path or port"),
        ("*.org", "would allow every host under .org"),
        ("*.8.8.8.8", "an address has no subdomains"),
        ("*.8.8", "an address has no subdomains"),
        ("localhost", "is no public name"),
        ("intranet", "is no public name"),
        ("printer.local", "is no public name"),
        ("*.corp.internal", "is no public name"),
        ("127.0.0.1", "is no public address"),
        ("2130706433", "is no public address"),
        ("10.0.0.1", "is no public address"),
        ("169.254.169.254", "is no public address"),
        ("::1", "is no public address"),
    ],
)
def test_what_is_no_public_host_is_refused_in_the_policy(pattern: str, complaint: str):
    """
    A pattern that matches nothing, or more than its author can mean, is a mistake and told as one, with its path.
    """
    assert complaint in str(host_problem(pattern))
    with pytest.raises(PolicyError, match=r"^tools\.fetch\.allowed_hosts: "):
        SpeculationPolicy.from_dict({"tools": {"fetch": {"open_world": True, "allowed_hosts": ["a.org", pattern]}}})


@pytest.mark.parametrize(
    "host",
    [
        *["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254"],
        *["168.63.129.16", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1"],
        *["240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1"],
        *["64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::", "2001:db8::1", "100::1", "fec0::1", "localhost"],
        *["a.localhost", "router", "a.local", "metadata.google.internal", "a.lan", "a.home.arpa", "a.onion"],
    ],
)  # fmt: skip
def test_addresses_and_names_that_stay_inside_are_known(host: str):
    """
    Private, loopback, link-local, metadata and reserved addresses, and names that mean something in one network only.
    """
    assert normal_host(host) == host
    assert not_public(host) is not None
    assert destinations({"url": f"http://[{host}]/" if ":" in host else f"http://{host}/"})[1] is not None


# -- two hundred ways to go elsewhere ----------------------------------------------------------------------------------

ELSEWHERE = [
    # plainly
    *["https://evil.com", "https://evil.com/", "HTTPS://EVIL.COM/", "http://evil.com:80/x", "https://evil.com./"],
    *["https://evil.com?docs.python.org", "https://evil.com#docs.python.org", "https://evil.com/docs.python.org"],
    *["https://docs.python.org.evil.com/", "https://evildocs.python.org/", "https://docs-python.org/"],
    *["https://example.org/", "https://evilexample.org/", "https://a.example.org.evil.com/", "https://xexample.org"],
    *["https://python.org/", "https://a.docs.python.org/", "https://docs.python.orgevil.com"],
    # user names
    *["https://docs.python.org@evil.com/", "https://docs.python.org:443@evil.com/"],
    *["https://a:b@docs.python.org@evil.com", "https://docs.python.org%40evil.com/"],
    *["https://docs.python.org%2540evil.com/", "https://evil.com\\@docs.python.org"],
    *["https://evil.com%5C@docs.python.org/", "https://docs.python.org#@evil.com/"],
    *["https://docs.python.org?@evil.com/", "https://evil.com&@docs.python.org#@a.example.org/"],
    *["https://docs.python.org;@evil.com", "https://@evil.com", "https://user@docs.python.org/"],
    *["https://user:pass@a.example.org/", "https://docs.python.org＠evil.com/", "https://docs.python.org﹫evil.com/"],
    *["https://evil.com:80#@docs.python.org/", "docs.python.org@evil.com/x"],
    # slashes
    *["//evil.com", "//evil.com/docs.python.org", "///evil.com", "////evil.com/", "/\\evil.com", "\\\\evil.com\\x"],
    *["\\/evil.com", "https:/evil.com", "https:evil.com", "https:\\\\evil.com", "https:/\\evil.com"],
    *["https:///evil.com", "https:\\/\\/evil.com", "https://evil.com\\docs.python.org"],
    *["https://docs.python.org\\.evil.com/", "https://docs.python.org\\@evil.com", "https:////evil.com"],
    *["http:/evil.com", "http:evil.com", "://evil.com", "https://docs.python.org\\evil.com", "／／evil.com"],
    *["https:／／evil.com", "https：//evil.com", "https:⁄⁄evil.com", "/%2fevil.com", "%2f%2fevil.com", "/%5cevil.com"],
    *["https:%2f%2fevil.com", "%68ttps://evil.com", "https%3a//evil.com", "https%3A%2F%2Fevil.com"],
    *["https%253A%252F%252Fevil.com", "&#104;ttps://evil.com", "https&colon;//evil.com", "https:&sol;&sol;evil.com"],
    *["https:&#x2f;&#x2f;evil.com", "\\u0068ttps://evil.com", "https:\\u002f\\u002fevil.com"],
    *["https:\\x2f\\x2fevil.com", "\\x2f\\x2fevil.com", "&#47;&#47;evil.com", "https&#58;//evil.com"],
    # white space and what cannot be seen
    *["https://docs.python.org\n.evil.com/", "https://docs.python.org\t.evil.com"],
    *["https://docs.python.org\r\n.evil.com/", "ht\ntps://evil.com", "h\tt\ttps://evil.com", "/\t/evil.com"],
    *["/\n/evil.com", "\thttps://evil.com", " //evil.com", "https:\n//evil.com", "https:/\n/evil.com"],
    *["https://\nevil.com", "https://evil\n.com", "https:\t//evil.com", "\x01https://evil.com", "\x00//evil.com"],
    *["https://evil.com\x00.example.org/", "https://evil.com%00.example.org/", "https://evil.com%0a.example.org/"],
    *["https://evil.com%09.example.org", "https://evil.com%20.example.org/", "https://evil.com .example.org/"],
    *["https://evil.com\u3000.example.org/", "https://ev\u200bil.com/", "https://docs.python.org\u200b.evil.com/"],
    *["https://docs.python\u00ad.org/", "https://docs.python\u200b.org", "ht\u200btps://evil.com"],
    *["/\u200b/evil.com", "\ufeffhttps://evil.com", "https://\u202emoc.live\u202c.example.org"],
    *["https://docs.python.org\u2028.evil.com", "https://docs.python.org\x0b.evil.com", "\u2060//evil.com"],
    *["https://docs.python\u200d.org/", "https://docs.pyt\u034fhon.org/", "https:\u200b//evil.com"],
    # dots
    *["https://evil。com", "https://evil．com/", "https://evil｡com/", "https://docs.python.org。evil.com/"],
    *["https://evil%2ecom/", "https://docs.python.org%2eevil.com/", "https://evil%252ecom/"],
    *["https://evil%E3%80%82com", "https://docs%2epython%2eorg/", "https://evil.com%2f.example.org/"],
    *["https://evil.com%23.example.org/", "https://evil.com%3f.example.org/", "https://evil.com%5c.example.org/"],
    *["https://evil&period;com", "https://evil.com／.example.org/", "https://evil.com＃.example.org/"],
    *["https://evil.com？.example.org", "https://evil.com＼.example.org", "https://evil.c℀.example.org/"],
    *["https://evil.c℅.example.org/", "https://evil․com", "https://evil.com:80.example.org/"],
    *["https://evil.com:.example.org", "https://evil.com;.example.org/", "https://evil.com,a.example.org/"],
    *["https://evil.com|.example.org/", "https://evil.com^.example.org/", "https://evil.com\".example.org/"],
    *["https://evil.com'.example.org/", "https://evil.com>.example.org/", "https://evil.com(.example.org)/"],
    *["https://{evil.com}.example.org/", "https://$x.example.org/", "https://%x.org"],
    # names that only look alike
    *["https://dосs.python.org/", "https://docs.pуthon.org", "https://docs.python.оrg", "https://ԁocs.python.org"],
    *["https://a.ехample.org/", "https://a.exаmple.org", "https://docs.pythοn.org", "https://docs.pythоn.org:443/"],
    *["https://xn--dcs-fdd.python.org/", "https://docs.xn--pythn-mze.org/", "https://xn--docs-.python.org/"],
    *["https://a.xn--example-.org/", "https://a.example.xn--org-/", "https://faß.example.org/"],
    *["https://βόλος.example.org", "https://docs.pythön.org/", "https://docs.pythо́n.org"],
    *["https://docs.ρython.org/", "https://i❤.example.org", "https://docs.python.org̸.evil.com/"],
    *["https://docs.python.orģ/", "https://dоcs.python.org@docs.python.org"],
    # addresses
    *["http://127.0.0.1/", "http://127.1/", "http://0/", "http://0x7f.1/", "http://2130706433/"],
    *["http://017700000001/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.0.1", "http://127。0。0。1/"],
    *["http://１２７.0.0.1/", "http://①②⑦.⓪.⓪.①/", "http://8.8.8.8/", "http://134744072/", "http://010.8.8.8/"],
    *["http://8.8.2056/", "http://169.254.169.254/latest/meta-data/", "http://0xa9fea9fe/", "http://2852039166/"],
    *["http://0251.0376.0251.0376/", "http://[::1]/", "http://[::]:80/", "http://[::ffff:127.0.0.1]/"],
    *["http://[::ffff:7f00:1]", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[64:ff9b::7f00:1]/"],
    *["http://[2606:4700::1111]/", "http://[2002:7f00:1::]/", "http://[::1]@docs.python.org/"],
    *["http://[docs.python.org]/", "http://[evil.com]", "http://0.0.0.0:8080/", "http://10.0.0.1"],
    *["http://192.168.0.1", "http://metadata.google.internal/", "http://localhost:3000/"],
    *["http://127.0.0.1.nip.io/", "http://a.localhost", "http://printer.local/", "http://168.63.129.16/"],
    *["http://256.1.1.1/"],
    # other schemes, and URLs in URLs
    *["ftp://docs.python.org/", "file:///etc/passwd", "javascript:alert(1)", "data:text/html,<a>"],
    *["gopher://docs.python.org/", "ws://docs.python.org/", "mailto:a@evil.com", "ldap://evil.com/"],
    *["jar:https://evil.com!/", "blob:https://evil.com/", "view-source:https://evil.com/"],
    *["xhttps://docs.python.org/", "https+a://docs.python.org/", "smb://evil.com/x"],
    *["https://docs.python.org/?next=https://evil.com", "https://docs.python.org/?next=//evil.com", "https://"],
    *["https://docs.python.org/?next=https%3A%2F%2Fevil.com", "https://docs.python.org/?next=%2F%2Fevil.com"],
    *["https://docs.python.org/?next=https%253A%252F%252Fevil.com", "https://docs.python.org/#https://evil.com"],
    *["https://docs.python.org/?next=/%5Cevil.com", "https://docs.python.org/?next=https:evil.com"],
    *["https:// evil.com", "https://docs.python.org/?u=https%3A%2F%2Fevil.com%0A.example.org"],
    *["https://docs.python.org/redirect/https://evil.com", "https://docs.python.org/?a=1&url=//evil.com/x"],
    *["https://docs.python.org/?j={\"u\":\"https://evil.com\"}", "https://docs.python.org/ https://evil.com/"],
    *["https://docs.python.org/,https://evil.com/", "https://?evil.com"],
    *["https://docs.python.org/\nhttps://evil.com/", "https://docs.python.org/|https://evil.com"],
    *["https:#//evil.com"],
    # in texts
    *["[docs](https://evil.com)", "![](https://evil.com/x.png?d=secret)", "![x](//evil.com/x.png)"],
    *["<https://evil.com>", "[docs.python.org](https://evil.com)", "[x]: https://evil.com", "[x]: //evil.com"],
    *['<img src="//evil.com/x">', "<img src='https://evil.com'>", "<a href=https://evil.com>docs.python.org</a>"],
    *["url(//evil.com/x.css)", "see https://docs.python.org/ and https://evil.com"],
    *["https://docs.python.org/)[x](https://evil.com)", '{"url": "https://evil.com"}'],
    *['{"url":"https://docs.python.org/","url":"https://evil.com/"}', '["//evil.com"]'],
    *['{"a": "{\\"b\\": \\"https:\\/\\/evil.com\\"}"}', '{"url": "\\u0068ttps://evil.com"}', '"https://evil.com"'],
    *['{"url": "https://evil.com\\u002edocs.python.org/"}', '{"url": "evil.com"}', '{"host": "evil"}'],
    *['{"link":["evil.com"]}', "%7B%22url%22%3A%22https%3A%2F%2Fevil.com%22%7D", '{"https://evil.com": 1}'],
    *["[[[[\"https://evil.com\"]]]]"],
    # without a scheme
    *["evil.com", "evil.com/x", "EVIL.com:8080", "www.evil.com", "evil.com?x", "evil%2ecom", "evil。com"],
    *["x@evil.com/", "evil.com#docs.python.org", "docs.python.org.evil.com", "xn--dcs-fdd.python.org", "127.0.0.1"],
    *["127.0.0.1:80", "docs.python.org:443@evil.com", "localhost", "localhost:3000", "docs.python.org\n.evil.com"],
    *["evil.com.", "[::1]"],
]  # fmt: skip

HONEST: list[tuple[str, Any]] = [
    ("url", "https://docs.python.org"),
    ("url", "https://docs.python.org/"),
    ("url", "https://docs.python.org./3/"),
    ("url", "https://docs.python.org:443/3/"),
    ("url", "HTTPS://Docs.Python.org/3/library/re.html#re.sub"),
    ("url", "http://docs.python.org/3/library/re.html?highlight=sub&q=a%20b"),
    ("url", "https://docs.python.org/3/search.html?q=a+b&check_keywords=yes&area=default"),
    ("url", "https://docs.python.org?q=1"),
    ("url", "https://a.example.org/users/@me"),
    ("url", "https://a.b.example.org/~user/file.tar.gz"),
    ("url", "https://bücher.example.org/"),
    ("url", "https://xn--bcher-kva.example.org/"),
    ("url", "https://docs.python.org/ja/文字列"),
    ("url", "https://docs.python.org/?next=https%3A%2F%2Fdocs.python.org%2F3%2F"),
    ("url", "https://docs.python.org/a//b"),
    ("url", "/3/library/"),
    ("url", "?page=2"),
    ("url", ""),
    ("url", None),
    ("host", "docs.python.org"),
    ("host", "a.example.org:8443"),
    ("domain", "docs.python.org."),
    ("site", "docs.python.org/3/library"),
    ("urls", ["https://docs.python.org/3/", "https://a.example.org/"]),
    ("request", {"url": "https://docs.python.org/", "retries": 3, "headers": {"accept": "text/html"}}),
    ("endpoint", {"host": "docs.python.org", "port": 443}),
    ("body", '{"url":"https://docs.python.org","n":[1,2,{"link":"https://a.example.org/x"}]}'),
    ("text", "See [the docs](https://docs.python.org/3/) or <https://a.example.org/>."),
    ("text", "Is it on https://docs.python.org, or where?"),
    ("query", "TypeError: unsupported operand type(s) for /: 'str' and 'int' // why?"),
    ("query", "price of 7/8 inch pipe, 50% off & more"),
    ("query", "3.12"),
    ("query", "e.g. async def f(): pass  # note: no"),
    ("email", "ada@lovelace.dev"),
    ("path", "src/main/app.py"),
    ("city", "São Paulo"),
    ("since", 1_700_000_000),
    ("ratio", 0.5),
    ("site_id", 7),
    ("tags", ["python", "c++", "node js"]),
]


def carriers(text: str) -> Iterator[tuple[str, Any]]:
    """The same text where a tool may take its address from."""
    yield "url", text
    yield "query", text
    yield "items", [{"a": 1}, {"deep": {"link": text}}]
    yield "body", json.dumps({"page": {"url": text}})
    yield "body", json.dumps({"page": json.dumps([{"note": text}])})


def test_there_are_two_hundred_payloads():
    assert len(set(ELSEWHERE)) == len(ELSEWHERE) >= 200
    assert len(HONEST) >= 30


@pytest.mark.parametrize("text", ELSEWHERE, ids=ascii)
def test_a_text_that_goes_elsewhere_is_not_sent(text: str):
    """
    T5: wherever in the arguments it stands, no payload passes for a destination on the allow-list.
    """
    sent = [name for name, value in carriers(text) if may_be_sent({name: value})]

    # A bare word is an address only where an address is expected.
    bare = re.fullmatch(r"\[::1\]", text) is not None
    assert not [name for name in sent if not bare or name == "url"]


@pytest.mark.parametrize(("name", "value"), HONEST, ids=ascii)
def test_an_honest_argument_is_sent(name: str, value: Any):
    """
    A rule that refuses everything would be safe, and of no use.
    """
    assert destinations({name: value})[1] is None
    assert may_be_sent({name: value})


# -- against other readers --------------------------------------------------------------------------------------------


def as_a_browser(url: str) -> str | None:
    """The parts of WHATWG URL that differ most: controls are dropped, backslashes turned, slashes skipped."""
    text = re.sub(r"[\t\r\n]", "", url.strip("".join(map(chr, range(33))))).replace("\\", "/")
    return urlsplit(re.sub(r"^(https?):/*", r"\1://", text, flags=re.IGNORECASE)).hostname


READERS: dict[str, Callable[[str], str | None]] = {
    "urllib": lambda url: urlsplit(url).hostname,
    "httpx": lambda url: httpx.URL(url).host,
    "browser": as_a_browser,
    "last at": lambda url: re.split("[:?#]", re.split(r"[/\\]", url.partition("//")[2])[0].rpartition("@")[2])[0],
    "regex": lambda url: (re.search(r"https?://([^/:\s?#]+)", url) or [None, None])[1],
}

SHORT = (
    r"""https http : / // \ @ a . ? # %2f %40 %5c %00 %0a :80 & &#46; ; 。 ／ ＠ [ ] ) xn-- 0x7f.1 127.0.0.1 next="""
)
PIECES = st.sampled_from(
    [*SHORT.split(), "evil.com", "docs.python.org", ".example.org", " ", "\t", "\n", "\u200b", '"']
)


@settings(max_examples=3_000, deadline=None)
@given(
    st.sampled_from(["https://", "https://docs.python.org", "http://a.example.org", "//docs.python.org"]),
    st.lists(PIECES, max_size=8).map("".join),
    st.booleans(),
)
@example("https://docs.python.org", "?@evil.com", True)
@example("https://docs.python.org", "#@evil.com", True)
def test_what_may_be_sent_goes_to_an_allowed_host_for_every_reader(begin: str, rest: str, addressed: bool):
    """
    Whatever URL passes, five ways of reading it agree that its host is on the allow-list.
    """
    url = begin + rest
    if may_be_sent({"url" if addressed else "q": url}):
        for name, reader in READERS.items():
            with suppress(ValueError, httpx.InvalidURL):  # who cannot read it does not send it
                assert is_allowed(reader(re.sub("^//", "https://", url)) or "", ALLOWED), name


# -- every kind of value ----------------------------------------------------------------------------------------------


class Colour(enum.StrEnum):
    EVIL = "https://evil.com"


@dataclasses.dataclass
class Record:
    link: str


class Model(BaseModel):
    link: str


class Raising:
    def __str__(self) -> str:
        raise RuntimeError

    __eq__ = __hash__ = __str__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Raising()"


class Lying(str):
    def __str__(self) -> str:
        return "https://docs.python.org/"

    def lstrip(self, *_: Any) -> str:  # type: ignore[override]
        return ""


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        *[Colour.EVIL, Record("evil.com"), Model(link="evil.com"), b"https://evil.com", b"\xff"],
        *[PurePosixPath("//evil.com"), {"https://evil.com"}, ("https://evil.com",), {1: "https://evil.com"}],
        *[{("https://evil.com",): 1}, Lying("https://evil.com"), Raising(), object(), CYCLE, len],
        *[{"url": 2130706433}, {"url": 2130706433.0}, "a" * 60_000, ["a"] * 3_000, "[" * 30_000],
        *[json.loads("[" * 100 + "]" * 100), quote(quote(quote(quote(quote("//a")))))],
        *["https://a.example.org/ " * 2_100, {"url": 10**5000}, "https://" + "a." * 400 + "example.org/"],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_of_every_kind_are_looked_through_or_refused(value: Any):
    """
    What is hidden in an unusual value is found; what cannot be read, or not to its end, is a complaint.
    """
    assert not may_be_sent({"payload": value})


@pytest.mark.parametrize("args", [None, 7, [], "https://docs.python.org"], ids=repr)
def test_arguments_that_are_none_are_a_complaint(args: Any):
    assert destinations(args)[1] is not None


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["url", "host"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.binary(max_size=9)
            | st.lists(PIECES, max_size=9).map("".join) | st.builds(object),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_reading_destinations_never_raises(args: dict[str, Any]):
    """
    Whatever the arguments, there is an answer, and its hosts are in normal form.
    """
    hosts, complaint = destinations(args)

    assert all(normal_host(host) == host for host in hosts)
    assert complaint is None or isinstance(complaint, str)


def test_a_complaint_names_the_argument_and_not_its_value():
    """
    Reasons end up in logs, and arguments are private.
    """
    _, complaint = destinations({"target_url": "https://secret-token@evil.com/secret"})

    assert complaint == "'target_url' has an '@' where a host may end"


# -- what a message names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("What is new on docs.python.org?", {"docs.python.org"}),
        ("Compare **docs.python.org**, (https://b.example.org/x)!", {"docs.python.org", "b.example.org"}),
        ("Is `b.example.org` up?", {"b.example.org"}),
        ("HTTPS://Docs.Python.ORG:443/3/", {"docs.python.org"}),
        ("https://docs.python.org/?next=https://evil.com", {"docs.python.org", "evil.com"}),
        ("Write to ada@evil.com", set()),
        ("https://docs.python.org@evil.com/", set()),
        ("https://docs.python.org\\@evil.com/", set()),
        ("http://127.0.0.1/ and localhost and intranet", set()),
        ("Version 3.12, e.g. at 5.30", set()),
        ("docs . python . org", set()),
    ],
)  # fmt: skip
def test_a_message_names_hosts_beyond_doubt_only(text: str, hosts: set[str]):
    """
    Naming lends trust, so here doubt means no.
    """
    assert hosts_named(text) == hosts
