"""Requests as bytes: malformed ones, and well-formed ones."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
GET = b"GET /first HTTP/1.1\r\nHost: api.test\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: api.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"0\r\n\r\n"


def post(*fields: bytes) -> bytes:
    return POST + b"".join(each + b"\r\n" for each in fields) + b"\r\n"


def get(*fields: bytes) -> bytes:
    return GET + b"".join(each + b"\r\n" for each in fields) + b"\r\n"


HOLD = get().replace(b"/first", b"/hold")
"""The echo answers it when the test says so."""


def target(form: bytes) -> bytes:
    return b"GET " + form + b" HTTP/1.1\r\nHost: api.test\r\n\r\n"


def first_line(line: bytes) -> bytes:
    return line + b"\r\nHost: api.test\r\n\r\n"


# Tests append SMUGGLED to each, which must never be answered.
MALFORMED: dict[str, bytes] = {
    # lengths
    "cl-te": post(b"Content-Length: 5", b"Transfer-Encoding: chunked") + EMPTY,
    "te-cl": post(b"Transfer-Encoding: chunked", b"Content-Length: 5") + EMPTY,
    "te-cl-zero": post(b"Transfer-Encoding: chunked", b"Content-Length: 0") + EMPTY,
    "cl-differing": post(b"Content-Length: 0", b"Content-Length: 44"),
    "cl-repeated": post(b"Content-Length: 2", b"Content-Length: 2") + b"{}",
    "cl-list": post(b"Content-Length: 2, 2") + b"{}",
    "cl-plus": post(b"Content-Length: +2") + b"{}",
    "cl-minus": post(b"Content-Length: -2") + b"{}",
    "cl-hexadecimal": post(b"Content-Length: 0x2") + b"{}",
    "cl-exponent": post(b"Content-Length: 1e1") + b"0123456789",
    "cl-fraction": post(b"Content-Length: 2.0") + b"{}",
    "cl-underscore": post(b"Content-Length: 1_0") + b"0123456789",
    "cl-empty": post(b"Content-Length:"),
    "cl-with-a-space-inside": post(b"Content-Length: 1 0") + b"0123456789",
    "cl-in-other-digits": post(b"Content-Length: \xef\xbc\x92") + b"{}",
    # codings that another parser may read as chunked
    "te-twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + EMPTY,
    "te-list": post(b"Transfer-Encoding: chunked, chunked") + EMPTY,
    "te-identity": post(b"Transfer-Encoding: identity"),
    "te-chunked-and-identity": post(b"Transfer-Encoding: chunked, identity") + EMPTY,
    "te-gzip-chunked": post(b"Transfer-Encoding: gzip, chunked") + EMPTY,
    "te-made-up": post(b"Transfer-Encoding: xchunked") + EMPTY,
    "te-quoted": post(b'Transfer-Encoding: "chunked"') + EMPTY,
    "te-parameter": post(b"Transfer-Encoding: chunked;q=1") + EMPTY,
    "te-empty": post(b"Transfer-Encoding:"),
    "te-vertical-tab": post(b"Transfer-Encoding: \x0bchunked") + EMPTY,
    "te-form-feed": post(b"Transfer-Encoding: chunked\x0c") + EMPTY,
    "te-no-break-space": post(b"Transfer-Encoding: \xa0chunked") + EMPTY,
    "te-http-1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY,
    # lines
    "obs-fold": get(b"X-A: 1", b" Transfer-Encoding: chunked"),
    "obs-fold-tab": get(b"X-A: 1", b"\tfolded"),
    "obs-fold-first": b"GET /first HTTP/1.1\r\n Host: api.test\r\n\r\n",
    "obs-fold-te": post(b"Transfer-Encoding:", b" chunked") + EMPTY,
    "bare-lf": b"GET /first HTTP/1.1\nHost: api.test\n\n",
    "bare-lf-in-a-field": GET + b"X-A: 1\nTransfer-Encoding: chunked\r\n\r\n",
    "bare-lf-at-the-end": GET + b"\n",
    "bare-lf-first-line": b"GET /first HTTP/1.1\nHost: api.test\r\n\r\n",
    "bare-cr": get(b"X-A: 1\rTransfer-Encoding: chunked"),
    "cr-cr-lf": GET + b"X-A: 1\r\r\n\r\n",
    "lf-cr": GET + b"X-A: 1\n\r\r\n\r\n",
    "two-empty-lines-first": b"\r\n\r\n" + get(),
    # fields
    "space-before-colon": post(b"Content-Length : 2") + b"{}",
    "te-space-before-colon": post(b"Transfer-Encoding : chunked") + EMPTY,
    "tab-before-colon": post(b"Transfer-Encoding\t: chunked") + EMPTY,
    "no-colon": get(b"X-A"),
    "no-name": get(b": 1"),
    "upgrade-space-before-colon": get(b"Upgrade : h2c"),
    "upgrade-bare-cr": get(b"Upgrade: h2c\rTransfer-Encoding: chunked"),
    "nul-in-a-name": get(b"X\0A: 1"),
    "nul-in-a-value": get(b"X-A: 1\x002"),
    "delete-in-a-value": get(b"X-A: 1\x7f"),
    "control-in-a-name": post(b"\x01Content-Length: 2") + b"{}",
    "letter-beyond-ascii-in-a-name": get("Schlüssel: 1".encode()),
    "slash-in-a-name": get(b"X/A: 1"),
    # host and target
    "no-host": b"GET /first HTTP/1.1\r\n\r\n",
    "two-hosts": get(b"Host: other.test"),
    "two-equal-hosts": get(b"Host: api.test"),
    "two-hosts-http-1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "host-list": b"GET /first HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
    "host-with-a-path": b"GET /first HTTP/1.1\r\nHost: api.test/admin\r\n\r\n",
    "host-with-a-user": b"GET /first HTTP/1.1\r\nHost: user@api.test\r\n\r\n",
    "host-with-a-space": b"GET /first HTTP/1.1\r\nHost: api.test evil.test\r\n\r\n",
    "host-with-an-odd-port": b"GET /first HTTP/1.1\r\nHost: api.test:80a\r\n\r\n",
    "target-absolute": target(b"http://api.test/first"),
    "target-absolute-https": target(b"https://evil.test/"),
    "target-at-host": target(b"@evil.test"),
    "target-asterisk": b"OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "target-authority": b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "target-without-slash": target(b"first"),
    "target-query-only": target(b"?a=b"),
    "target-backslash": target(b"\\first"),
    "target-fragment": target(b"/first#part"),
    "target-empty": target(b""),
    "target-nul": target(b"/first\0"),
    "target-raw-letter": target("/größe".encode()),
    "target-space": target(b"/first second"),
    "target-tab": target(b"/first\tsecond"),
    # the rest of the first line
    "version-1.2": first_line(b"GET /first HTTP/1.2"),
    "version-2.0": first_line(b"GET /first HTTP/2.0"),
    "version-0.9": b"GET /first\r\n\r\n",
    "version-none": first_line(b"GET /first "),
    "version-lower-case": first_line(b"GET /first http/1.1"),
    "version-long": first_line(b"GET /first HTTP/1.10"),
    "version-other-protocol": first_line(b"GET /first ICY/1.1"),
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two-spaces": first_line(b"GET  /first HTTP/1.1"),
    "space-at-the-end": first_line(b"GET /first HTTP/1.1 "),
    "space-first": first_line(b" GET /first HTTP/1.1"),
    "tab-between": first_line(b"GET\t/first HTTP/1.1"),
    "method-with-a-control": first_line(b"GE\x01T /first HTTP/1.1"),
    "no-method": first_line(b"/first HTTP/1.1"),
    "tls": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n",
    # chunks
    "chunk-extension": CHUNKED + b"2;a=b\r\n{}\r\n" + EMPTY,
    "chunk-extension-lf": CHUNKED + b"2;\n{}\r\n" + EMPTY,
    "chunk-space": CHUNKED + b"2 \r\n{}\r\n" + EMPTY,
    "chunk-prefix": CHUNKED + b"0x2\r\n{}\r\n" + EMPTY,
    "chunk-plus": CHUNKED + b"+2\r\n{}\r\n" + EMPTY,
    "chunk-minus": CHUNKED + b"-2\r\n{}\r\n" + EMPTY,
    "chunk-underscore": CHUNKED + b"1_0\r\n0123456789abcdef\r\n" + EMPTY,
    "chunk-no-number": CHUNKED + b"z\r\n{}\r\n" + EMPTY,
    "chunk-empty-size": CHUNKED + b"\r\n{}\r\n" + EMPTY,
    "chunk-too-short": CHUNKED + b"1\r\n{}\r\n" + EMPTY,
    "chunk-too-long": CHUNKED + b"3\r\n{}\r\n" + EMPTY,
    "chunk-bare-lf": CHUNKED + b"2\n{}\n0\n\n",
    "chunk-bare-lf-after-data": CHUNKED + b"2\r\n{}\n" + EMPTY,
    "chunk-size-beyond-64-bits": CHUNKED + b"10000000000000002\r\n{}\r\n" + EMPTY,
    "trailer-with-a-length": CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 44\r\n\r\n",
}

# Each with the body that the application receives.
WELL_FORMED: dict[str, tuple[bytes, str]] = {
    "plain": (get(), ""),
    "length": (post(b"Content-Length: 2") + b"{}", "{}"),
    "length-zero": (post(b"Content-Length: 0"), ""),
    "length-padded": (post(b"Content-Length:\t00000002 \t") + b"{}", "{}"),
    "chunked": (CHUNKED + b"1\r\n{\r\n0001\r\n}\r\n" + EMPTY, "{}"),
    "chunked-empty": (CHUNKED + EMPTY, ""),
    "chunked-capitals": (
        post(b"TRANSFER-ENCODING: Chunked") + b"A\r\n0123456789\r\n" + EMPTY,
        "0123456789",
    ),
    "body-on-get": (get(b"Content-Length: 2") + b"{}", "{}"),
    "http-1.0": (b"GET /first HTTP/1.0\r\n\r\n", ""),
    "http-1.0-with-host": (b"POST /first HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "{}"),
    "one-empty-line-first": (b"\r\n" + get(), ""),
    "host-empty": (b"GET /first HTTP/1.1\r\nHost:\r\n\r\n", ""),
    "host-asterisk": (b"GET /first HTTP/1.1\r\nHost: *\r\n\r\n", ""),
    "host-asterisk-with-port": (b"GET /first HTTP/1.1\r\nHost: *:8000\r\n\r\n", ""),
    "host-empty-port": (b"GET /first HTTP/1.1\r\nHost: example.com:\r\n\r\n", ""),
    "host-port-only": (b"GET /first HTTP/1.1\r\nHost: :8000\r\n\r\n", ""),
    "host-encoded": (b"GET /first HTTP/1.1\r\nHost: %E6%A3%80.test\r\n\r\n", ""),
    "host-future-address": (b"GET /first HTTP/1.1\r\nHost: [v1.a:b]\r\n\r\n", ""),
    "host-of-rfc-3986": (b"GET /first HTTP/1.1\r\nHost: a%20b!$&'()*+,;=~:\r\n\r\n", ""),
    "host-with-port": (b"GET /first HTTP/1.1\r\nhost: api.test:8000\r\n\r\n", ""),
    "host-ipv6": (b"GET /first HTTP/1.1\r\nHOST:[::1]:8000\r\n\r\n", ""),
    "host-of-a-container": (b"GET /first HTTP/1.1\r\nHost: my_service\r\n\r\n", ""),
    "empty-value": (get(b"X-A:", b"X-B: \t "), ""),
    "letters-beyond-ascii-in-a-value": (get("X-A: Größe".encode()), ""),
    "upgrade-ignored": (get(b"Connection: Upgrade", b"Upgrade: websocket"), ""),
    "h2c-ignored": (
        post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Content-Length: 2") + b"{}",
        "{}",
    ),
    "expectation-unknown": (post(b"Expect: a-miracle", b"Content-Length: 2") + b"{}", "{}"),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: 1\r\n\r\n", "{}"),
    "trailer-empty-and-repeated": (CHUNKED + b"2\r\n{}\r\n0\r\nX:\r\nX: 1\r\n\r\n", "{}"),
    "trailer-checksum": (CHUNKED + b"2\r\n{}\r\n0\r\nDigest: sha-256=47D/E\r\n\r\n", "{}"),
    "empty-line-after-a-body": (post(b"Content-Length: 2") + b"{}\r\n", "{}"),
    "empty-line-after-chunks": (CHUNKED + b"2\r\n{}\r\n" + EMPTY + b"\r\n", "{}"),
    "trailers-of-the-connection": (
        CHUNKED + b"2\r\n{}\r\n0\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n",
        "{}",
    ),
    "method-unknown": (first_line(b"BREW /first HTTP/1.1"), ""),
    "method-lower-case": (first_line(b"get /first HTTP/1.1"), ""),
    "method-connect-with-a-path": (first_line(b"CONNECT /first HTTP/1.1"), ""),
    "method-of-another-protocol": (first_line(b"DESCRIBE /first HTTP/1.1"), ""),
    "announced-trailer": (post(b"Trailer: X-A", b"Content-Length: 2") + b"{}", "{}"),
}
