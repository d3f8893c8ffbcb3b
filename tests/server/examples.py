"""Requests as bytes: malformed ones, and well-formed ones."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
GET = b"GET /first HTTP/1.1\r\nHost: api.test\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: api.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"0\r\n\r\n"
TEN = b"0123456789"


def post(*fields: bytes) -> bytes:
    return POST + b"".join(each + b"\r\n" for each in fields) + b"\r\n"


def get(*fields: bytes) -> bytes:
    return GET + b"".join(each + b"\r\n" for each in fields) + b"\r\n"


HOLD = get().replace(b"/first", b"/hold")
"""The echo answers it when the test says so."""


def first_line(line: bytes) -> bytes:
    return line + b"\r\nHost: api.test\r\n\r\n"


def host(value: bytes) -> bytes:
    return b"GET /first HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


BAD_LENGTHS = (
    *(b"2, 2", b"+2", b"-2", b"0x2", b"1e1", b"2.0", b"1_0", b"", b"1 0"),
    b"\xef\xbc\x92",  # a digit of another script
)
# Another parser may read them as chunked.
BAD_CODINGS = (
    *(b"identity", b"chunked, chunked", b"chunked, identity", b"gzip, chunked", b"xchunked"),
    *(b'"chunked"', b"chunked;q=1", b"", b"\x0bchunked", b"chunked\x0c", b"\xa0chunked"),
)
BAD_FIELDS = (
    *(b"X-A", b": 1", b"Upgrade : h2c", b"Content-Length : 2", b"Transfer-Encoding : chunked"),
    *(b"Transfer-Encoding\t: chunked", b"Upgrade: h2c\rTransfer-Encoding: chunked"),
    *(b"X-A: 1\rTransfer-Encoding: chunked", b"X\0A: 1", b"X-A: 1\x002", b"X-A: 1\x7f"),
    *(b"\x01Content-Length: 2", "Schlüssel: 1".encode(), b"X/A: 1"),
    *(b"X-A: 1\r\n Transfer-Encoding: chunked", b"X-A: 1\r\n\tfolded"),
    b"Transfer-Encoding:\r\n chunked",
)
BAD_HOSTS = (
    *(b"a.test, b.test", b"api.test/admin", b"user@api.test", b"api.test evil.test"),
    b"api.test:80a",
)
BAD_TARGETS = (
    *(b"http://api.test/first", b"https://evil.test/", b"@evil.test", b"first", b"?a=b"),
    *(b"\\first", b"/first#part", b"", b"/first\0", "/größe".encode(), b"/first second"),
    b"/first\tsecond",
)
BAD_FIRST_LINES = (
    *(b"GET /first HTTP/1.2", b"GET /first HTTP/2.0", b"GET /first ", b"GET /first http/1.1"),
    *(b"GET /first HTTP/1.10", b"GET /first ICY/1.1", b"GET  /first HTTP/1.1"),
    *(b"GET /first HTTP/1.1 ", b" GET /first HTTP/1.1", b"GET\t/first HTTP/1.1"),
    *(b"GE\x01T /first HTTP/1.1", b"/first HTTP/1.1"),
    *(b"OPTIONS * HTTP/1.1", b"CONNECT api.test:443 HTTP/1.1"),
)
BAD_CHUNKS = (
    *(b"2;a=b\r\n{}\r\n", b"2;\n{}\r\n", b"2 \r\n{}\r\n", b"0x2\r\n{}\r\n", b"+2\r\n{}\r\n"),
    *(b"-2\r\n{}\r\n", b"1_0\r\n0123456789abcdef\r\n", b"z\r\n{}\r\n", b"\r\n{}\r\n"),
    *(b"1\r\n{}\r\n", b"3\r\n{}\r\n", b"2\r\n{}\n", b"10000000000000002\r\n{}\r\n"),
)
# Tests append SMUGGLED to each, which must never be answered.
MALFORMED: dict[str, bytes] = {
    "cl-te": post(b"Content-Length: 5", b"Transfer-Encoding: chunked") + EMPTY,
    "te-cl": post(b"Transfer-Encoding: chunked", b"Content-Length: 5") + EMPTY,
    "te-cl-zero": post(b"Transfer-Encoding: chunked", b"Content-Length: 0") + EMPTY,
    "cl-differing": post(b"Content-Length: 0", b"Content-Length: 44"),
    "cl-repeated": post(b"Content-Length: 2", b"Content-Length: 2") + b"{}",
    "te-twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + EMPTY,
    "te-http-1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY,
    "obs-fold-first": b"GET /first HTTP/1.1\r\n Host: api.test\r\n\r\n",
    "bare-lf": b"GET /first HTTP/1.1\nHost: api.test\n\n",
    "bare-lf-in-a-field": GET + b"X-A: 1\nTransfer-Encoding: chunked\r\n\r\n",
    "bare-lf-at-the-end": GET + b"\n",
    "bare-lf-first-line": b"GET /first HTTP/1.1\nHost: api.test\r\n\r\n",
    "cr-cr-lf": GET + b"X-A: 1\r\r\n\r\n",
    "lf-cr": GET + b"X-A: 1\n\r\r\n\r\n",
    "two-empty-lines-first": b"\r\n\r\n" + get(),
    "no-host": b"GET /first HTTP/1.1\r\n\r\n",
    "two-hosts": get(b"Host: other.test"),
    "two-equal-hosts": get(b"Host: api.test"),
    "two-hosts-http-1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "version-0.9": b"GET /first\r\n\r\n",
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n",
    "chunk-bare-lf": CHUNKED + b"2\n{}\n0\n\n",
    "trailer-with-a-length": CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 44\r\n\r\n",
    **{f"length {value!r}": post(b"Content-Length: " + value) + TEN for value in BAD_LENGTHS},
    **{f"coding {value!r}": post(b"Transfer-Encoding: " + value) + EMPTY for value in BAD_CODINGS},
    **{f"field {field!r}": post(field) + EMPTY for field in BAD_FIELDS},
    **{f"host {value!r}": host(value) for value in BAD_HOSTS},
    **{f"target {form!r}": first_line(b"GET " + form + b" HTTP/1.1") for form in BAD_TARGETS},
    **{f"line {line!r}": first_line(line) for line in BAD_FIRST_LINES},
    **{f"chunk {chunk!r}": CHUNKED + chunk + EMPTY for chunk in BAD_CHUNKS},
}

GOOD_HOSTS = (
    *(b"", b"*", b"*:8000", b"example.com:", b":8000", b"%E6%A3%80.test", b"[v1.a:b]"),
    *(b"a%20b!$&'()*+,;=~:", b"api.test:8000", b"[::1]:8000", b"my_service"),
)
# Each with the body that the application receives.
WELL_FORMED: dict[str, tuple[bytes, str]] = {
    "plain": (get(), ""),
    "length": (post(b"Content-Length: 2") + b"{}", "{}"),
    "length-zero": (post(b"Content-Length: 0"), ""),
    "length-padded": (post(b"Content-Length:\t00000002 \t") + b"{}", "{}"),
    "chunked": (CHUNKED + b"1\r\n{\r\n0001\r\n}\r\n" + EMPTY, "{}"),
    "chunked-empty": (CHUNKED + EMPTY, ""),
    "chunked-capitals": (
        post(b"TRANSFER-ENCODING: Chunked") + b"A\r\n" + TEN + b"\r\n" + EMPTY,
        TEN.decode(),
    ),
    "body-on-get": (get(b"Content-Length: 2") + b"{}", "{}"),
    "http-1.0": (b"GET /first HTTP/1.0\r\n\r\n", ""),
    "http-1.0-with-host": (b"POST /first HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "{}"),
    "one-empty-line-first": (b"\r\n" + get(), ""),
    "host-without-a-space": (b"GET /first HTTP/1.1\r\nHOST:[::1]:8000\r\n\r\n", ""),
    "empty-value": (get(b"X-A:", b"X-B: \t "), ""),
    "letters-beyond-ascii-in-a-value": (get("X-A: Größe".encode()), ""),
    "upgrade-ignored": (get(b"Connection: Upgrade", b"Upgrade: websocket"), ""),
    "h2c-ignored": (
        post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Content-Length: 2") + b"{}",
        "{}",
    ),
    "expectation-unknown": (post(b"Expect: a-miracle", b"Content-Length: 2") + b"{}", "{}"),
    "trailer-empty-and-repeated": (CHUNKED + b"2\r\n{}\r\n0\r\nX:\r\nX: 1\r\n\r\n", "{}"),
    "trailer-checksum": (CHUNKED + b"2\r\n{}\r\n0\r\nDigest: sha-256=47D/E\r\n\r\n", "{}"),
    "empty-line-after-a-body": (post(b"Content-Length: 2") + b"{}\r\n", "{}"),
    "empty-line-after-chunks": (CHUNKED + b"2\r\n{}\r\n" + EMPTY + b"\r\n", "{}"),
    "trailers-of-the-connection": (
        CHUNKED + b"2\r\n{}\r\n0\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n",
        "{}",
    ),
    "announced-trailer": (post(b"Trailer: X-A", b"Content-Length: 2") + b"{}", "{}"),
    **{f"host {value!r}": (host(value), "") for value in GOOD_HOSTS},
    **{
        f"method {method!r}": (first_line(method + b" /first HTTP/1.1"), "")
        for method in (b"BREW", b"get", b"CONNECT", b"DESCRIBE")
    },
}
