"""JSON documents in the classes of the well-known test suites for parsers.

`n`: a parser must refuse it (RFC 8259). `y`: a parser must accept it. `i`: RFC 8259 leaves it to
the parser; ours refuses most of them. A name tells the class, the peculiarity and the position.
"""

from collections.abc import Iterator

_PLACES = {"alone": "%s", "item": "[1, %s]", "member": '{"a": %s}'}

_NO_NUMBERS = {
    "minus": "-",
    "plus": "+1",
    "two-minuses": "--1",
    "minus-space": "- 1",
    "leading-zero": "01",
    "minus-leading-zero": "-01",
    "two-zeros": "00",
    "ends-in-point": "1.",
    "begins-with-point": ".5",
    "minus-point": "-.5",
    "two-points": "1.5.2",
    "empty-exponent": "1e",
    "exponent-sign-alone": "1e+",
    "two-exponents": "1e1e1",
    "point-exponent": "1.e1",
    "broken-exponent": "1e1.5",
    "exponent-space": "1e 5",
    "hexadecimal": "0x1F",
    "binary": "0b1",
    "underscore": "1_000",
    "space": "1 000",
    "letter-after": "1a",
    "full-width": "\uff11",
    "arabic": "\u0663",
    "nan": "NaN",
    "minus-nan": "-NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "inf": "inf",
    "big-int-suffix": "1n",
}
_NO_LITERALS = {
    "capital": "True",
    "capitals": "FALSE",
    "cut-off": "nul",
    "too-long": "nulll",
    "undefined": "undefined",
    "none": "None",
    "word": "word",
    "two": "truefalse",
    "zero-inside": "nu\x00ll",
}
_NO_STRINGS = {
    "opened": '"',
    "open": '"abc',
    "single-quotes": "'abc'",
    "back-quotes": "`abc`",
    "curly-quotes": "\u201cabc\u201d",
    "escaped-end": '"\\"',
    "escape-x": '"\\x41"',
    "escape-a": '"\\a"',
    "escape-zero": '"\\0"',
    "escape-space": '"\\ "',
    "escape-newline": '"\\\n"',
    "escape-capital-u": '"\\U00000041"',
    "escape-braces": '"\\u{41}"',
    "escape-short": '"\\u041"',
    "escape-no-hexadecimal": '"\\u00G1"',
    "escape-signed": '"\\u+041"',
    "escape-emoji": '"\\\U0001f600"',
    "half-pair-then-short": '"\\ud83d\\u"',
    "raw-newline": '"a\nb"',
    "raw-return": '"a\rb"',
    "raw-tab": '"a\tb"',
    "raw-zero": '"a\x00b"',
    "raw-escape": '"a\x1bb"',
    "raw-unit-separator": '"a\x1fb"',
    "quote-inside": '"a"b"',
    "backslash-before": '\\"a"',
    "two": '"a" "b"',
}
_NO_ARRAYS = {
    "opened": "[",
    "closed": "]",
    "open": "[1",
    "open-comma": "[1,",
    "not-opened": "1]",
    "closed-twice": "[1]]",
    "closed-by-brace": "[1}",
    "comma-alone": "[,]",
    "comma-first": "[,1]",
    "comma-last": "[1,]",
    "two-commas": "[1,,2]",
    "no-comma": "[1 2]",
    "semicolon": "[1;2]",
    "colon": '["a": 1]',
    "colon-alone": "[:]",
    "inner-open": "[[1]",
    "spread": "[...1]",
    "star": "[*]",
    "vertical-tab": "[\x0b1]",
    "form-feed": "[\x0c1]",
    "zero-byte": "[\x001]",
}
_NO_OBJECTS = {
    "opened": "{",
    "closed": "}",
    "open": '{"a": 1',
    "open-comma": '{"a": 1,',
    "closed-twice": '{"a": 1}}',
    "closed-by-bracket": '{"a": 1]',
    "comma-alone": "{,}",
    "comma-first": '{,"a": 1}',
    "comma-last": '{"a": 1,}',
    "two-commas": '{"a": 1,,"b": 2}',
    "no-comma": '{"a": 1 "b": 2}',
    "key-alone": '{"a"}',
    "key-and-colon": '{"a":}',
    "value-alone": "{:1}",
    "two-colons": '{"a"::1}',
    "two-values": '{"a":1:2}',
    "comma-for-colon": '{"a", 1}',
    "equals-sign": '{"a"=1}',
    "arrow": '{"a"=>1}',
    "bare-key": "{a: 1}",
    "number-key": "{1: 1}",
    "null-key": "{null: 1}",
    "array-key": "{[1]: 1}",
    "single-quoted-key": "{'a': 1}",
    "emoji-key": "{\U0001f600: 1}",
    "parentheses": '("a": 1)',
    "brackets": '["a": 1}',
}
_NO_STRUCTURES = {
    "empty": "",
    "space": " ",
    "newline": "\n",
    "zero-byte": "\x00",
    "two-documents": "{}{}",
    "two-lines": "{}\n{}",
    "text-after": "{} x",
    "comma-after": "{},",
    "quote-after": '{}"',
    "hash-after": "{} # x",
    "line-comment": "{} // x",
    "block-comment": "{/* x */}",
    "comment-before": "/* x */ {}",
    "html-comment": "<!-- x --> {}",
    "no-break-space": "\u00a0{}",
    "ideographic-space": "\u3000{}",
    "word-joiner": "\u2060{}",
    "zero-byte-after": "{}\x00",
    "end-of-file-after": "{}\x1a",
    "angle-brackets": "<null>",
    "xml": "<a>1</a>",
    "yaml": "a: 1",
    "form": "ticket=a",
    "json-lines-separator": "\x1e{}",
    "hijack-guard": ")]}'\n{}",
    "assignment": "a = {}",
    "callback": "a({})",
    "json5": "{a: 'b', c: +.5,}",
    "deep-and-open": "[" * 1000,
    "deep-objects-and-open": '{"a":' * 1000,
    "deep-and-wrong": '[{"":' * 500,
}
_NO_BYTES = {
    "stray-byte": b"\xff",
    "byte-in-array": b"[\xff]",
    "byte-in-number": b"[1\xe5]",
    "byte-in-literal": b"[tr\xe9ue]",
    "byte-as-key": b'{\xb9: "a"}',
    "cut-off-mark": b"\xef\xbb{}",
    "mark-alone": b"\xef\xbb\xbf",
    "pickle": b"\x80\x04N.",
    "gzip": b"\x1f\x8b\x08\x00",
    "protobuf": b"\x0a\x01a",
    "message-pack": b"\x81\xa1a\x01",
}
_NUMBERS = {
    "zero": "0",
    "minus-zero": "-0",
    "one": "1",
    "minus": "-12",
    "point": "1.5",
    "minus-point": "-0.25",
    "exponent": "1e2",
    "exponent-plus": "1E+2",
    "exponent-minus": "1e-2",
    "exponent-zeros": "1e0002",
    "point-exponent": "12.5e3",
    "zero-exponent": "0e1",
    "largest-whole": "9007199254740992",
    "close-to-zero": "0." + "0" * 70 + "1",
}
_STRINGS = {
    "empty": '""',
    "letters": '"abc"',
    "chinese": '"\u5c0f\u660e"',
    "emoji": '"\U0001f600"',
    "escapes": '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    "escaped-zero": '"\\u0000"',
    "escaped-letter": '"\\u0061\\u30AF"',
    "escaped-pair": '"\\ud83d\\ude00"',
    "escaped-pair-capitals": '"\\uD834\\uDD1E"',
    "escaped-backslash-u": '"\\\\u0041"',
    "noncharacter": '"\\uFFFF\uffff"',
    "last-of-unicode": '"\U0010ffff"',
    "delete": '"\x7f"',
    "line-separator": '"\u2028\u2029"',
    "no-break-space": '"\u00a0"',
    "right-to-left": '"\u202egpj.exe"',
    "combining": '"e\u0301"',
    "comment": '"a/*b*/c//d"',
    "brackets": '"[{"',
}
_LITERALS = {"true": "true", "false": "false", "null": "null"}
_ARRAYS = {
    "empty": "[]",
    "spaces": "[ ]",
    "empty-string": '[""]',
    "several": "[1, null, true, 1.5]",
    "ends-in-newline": "[1]\n",
    "white-space": " \t\r\n[ 1\n,\t2 ]\r\n",
    "eight-levels": "[" * 8 + "]" * 8,
}
_OBJECTS = {
    "empty": "{}",
    "empty-key": '{"": 0}',
    "escaped-key": '{"a\\u0000b": 0}',
    "long-key": '{"%s": 0}' % ("x" * 40),
    "case": '{"a": 1, "A": 2}',
    "nested": '{"a": {"a": {"a": []}}}',
    "prototype": '{"__proto__": {"a": 1}, "constructor": 1}',
    "newlines": '{\n"a": 1\n}',
}
STRICTER = {
    "y-object-duplicate-key": b'{"a": 1, "a": 2}',
    "y-object-duplicate-key-and-value": b'{"a": 1, "a": 1}',
    "y-object-duplicate-key-escaped": b'{"a": 1, "\\u0061": 2}',
    "y-array-nine-levels": b"[" * 9 + b"]" * 9,
    "y-number-more-than-a-double-holds": b"9007199254740993",
}
"""Valid JSON that we refuse: parsers read it in two ways, or it exhausts them."""
DIFFERS = {
    "i-number-huge-exponent": b"[1e400]",
    "i-number-minus-huge-exponent": b"[-1e400]",
    "i-number-huge": b"[" + b"9" * 5000 + b"]",
    "i-number-huge-point": b"[0.4e0066" + b"9" * 30 + b"]",
    "i-string-first-half": b'["\\ud800"]',
    "i-string-second-half": b'["\\udc00"]',
    "i-string-halves-swapped": b'["\\ude00\\ud83d"]',
    "i-string-half-then-letter": b'["\\ud800abc"]',
    "i-string-half-then-escape": b'["\\ud800\\n"]',
    "i-string-two-first-halves": b'["\\ud800\\ud800"]',
    "i-object-half-as-key": b'{"\\udfff": 1}',
    "i-string-stray-byte": b'["\xff"]',
    "i-string-stray-continuation": b'["\x81"]',
    "i-string-cut-off": b'["\xe5\xb0"]',
    "i-string-latin-1": b'["\xe9"]',
    "i-string-gbk": '["\u5c0f\u660e"]'.encode("gbk"),
    "i-string-overlong-two": b'["\xc0\xaf"]',
    "i-string-overlong-six": b'["\xfc\x83\xbf\xbf\xbf\xbf"]',
    "i-string-encoded-half": b'["\xed\xa0\x80"]',
    "i-string-encoded-pair": b'["\xed\xa0\xbd\xed\xb8\x80"]',
    "i-string-beyond-unicode": b'["\xf4\x90\x80\x80"]',
    "i-structure-byte-order-mark": b"\xef\xbb\xbf{}",
    "i-structure-utf-16": "{}".encode("utf-16"),
    "i-structure-utf-16-little": '["\u00e9"]'.encode("utf-16-le"),
    "i-structure-utf-16-big": '["\u00e9"]'.encode("utf-16-be"),
    "i-structure-utf-32": "{}".encode("utf-32"),
    "i-structure-utf-7": b"+AHs-+AH0-",
    "i-structure-500-levels": b"[" * 500 + b"]" * 500,
    "i-structure-2000-levels": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "i-structure-4000-levels": b"[" * 4000 + b"]" * 4000,
}


def _everywhere(kind: str, table: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for what, text in table.items():
        for place, around in _PLACES.items():
            yield f"{kind}-{what}-{place}", (around % text).encode()


def _alone(kind: str, table: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for what, text in table.items():
        yield f"{kind}-{what}", text.encode()


NO = dict(
    [
        *_everywhere("n-number", _NO_NUMBERS),
        *_everywhere("n-literal", _NO_LITERALS),
        *_everywhere("n-string", _NO_STRINGS),
        *(
            (f"n-object-key-{what}", b"{%b: 1}" % text.encode())
            for what, text in _NO_STRINGS.items()
        ),
        *_alone("n-array", _NO_ARRAYS),
        *_alone("n-object", _NO_OBJECTS),
        *_alone("n-structure", _NO_STRUCTURES),
        *((f"n-bytes-{what}", data) for what, data in _NO_BYTES.items()),
    ]
)
YES = dict(
    [
        *_everywhere("y-number", _NUMBERS),
        *_everywhere("y-string", _STRINGS),
        *_everywhere("y-literal", _LITERALS),
        *_alone("y-array", _ARRAYS),
        *_alone("y-object", _OBJECTS),
    ]
)
REFUSED = NO | STRICTER | DIFFERS
