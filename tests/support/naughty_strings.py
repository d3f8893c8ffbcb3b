"""Texts that have broken software, in the classes of the well-known lists."""

import itertools

_CLASSES: dict[str, list[str]] = {
    "empty": ["", " ", "\t", "\n", "\r\n", "\u00a0", "\u3000", " a", "a ", " " * 40],
    "reserved-words": [
        *("null", "nil", "None", "NULL", "(null)", "undefined", "undef", "true", "false", "NaN"),
        *("constructor", "__proto__", "hasOwnProperty", "toString", "__class__", "then", "CON"),
        *("NUL", "COM1", "LPT1", ".", "..", "-", "--", "/dev/null", "\\"),
    ],
    "numbers": [
        *("0", "-1", "1.00", "1/0", "1E+02", "1e309", "-Infinity", "Infinity", "0x0", "0xffffffff"),
        *("1,000.00", "1_000", "08", "1" * 96, "9223372036854775808", "-9223372036854775809"),
        *("2147483648", "4294967296", "0.1.2", "\u0661\u0662\u0663", "\uff11\uff12", "\u00bd"),
    ],
    "controls": [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))],
    "invisible": [
        *("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u061c", "\u180e"),
        *("\u2028", "\u2029", "\ufff9\ufffa\ufffb", "\U000e0001", "\U000e0041", "\u2800", "\u3164"),
    ],
    "right-to-left": [
        *("\u202egpj.exe", "\u202dabc", "\u2067abc\u2069", "\u200fabc", "\u200eabc"),
        *("\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\ufdfa", "\u05e9\u05dc\u05d5\u05dd"),
    ],
    "unicode": [
        *("\u5c0f\u660e", "\uac00\ub098\ub2e4", "\u30c6\u30b9\u30c8", "\U00020bb7\u91ce\u5bb6"),
        *("\u03a9\u2248\u00e7\u221a\u222b", "\u00e5\u00df\u2202\u0192", "\u0130i\u0131I", "\ufb01"),
        *("\u1e9e\u00df", "\u2160\u216f", "\u00b2\u2075", "\u2074\u2081", "\u03c2\u03a3", "\u212b"),
        *("\ufffd", "\ufffe", "\uffff", "\U0001ffff", "\U0010ffff", "\ue000", "\U000f0000"),
        *("\U0001d518\U0001d52b", "\uff34\uff48\uff45", "\u24e3\u24d7\u24d4", "\u02d9\u0250nb"),
    ],
    "combining": [
        *("e\u0301", "\u0301e", "e\u0301" * 20, "Z\u0351\u036b\u0343\u036a", "a" + "\u0300" * 50),
        *("\u0bb8\u0bcd\u0bb0\u0bc0", "\u0e01\u0e49\u0e49\u0e49", "\u1100\u1161\u11a8", "\u20e3"),
    ],
    "emoji": [
        *("\U0001f60d", "\U0001f469\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f466"),
        *("\U0001f1e8\U0001f1f3", "\U0001f1e8", "1\ufe0f\u20e3", "\u2764\ufe0f", "\U0001f3fd"),
        *("\u0ca0_\u0ca0", "(\u256f\u00b0\u25a1\u00b0)\u256f", "\U0001f600" * 16),
    ],
    "halves": ["\ud800", "\udfff", "\udc00\ud800", "a\ud83d", "\ude00a", "\ud83d\ud83d"],
    "lines": [
        *("a\r\nSet-Cookie: b=c", "a\nb", "a\rb", "a\r\n\r\nHTTP/1.1 200 OK", "\u560d\u560aX: y"),
        *('a\n{"event":"forged"}', 'a"}\n{"event":"forged', "\x1b[31mred\x1b[0m", "\x1b]0;a\x07"),
        *("a\x08\x08b", "%0d%0aX: y", "%0a", "%E5%98%8A%E5%98%8DX: y", "\\r\\nX: y", "\x9b31m"),
    ],
    "sql": [
        *("' OR 1=1 --", "1;DROP TABLE sessions", "'; ATTACH DATABASE '/tmp/a' AS a; --", "'", '"'),
        *("''", "`", "1' AND sleep(5)#", "%", "_", "\\'", ") UNION SELECT 1", "\x00' OR 1=1"),
    ],
    "scripts": [
        *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "<"),
        *("&lt;script&gt;", "<!--", "]]>", "<svg/onload=alert(1)>", '"><b>', "'><b>", "&#x27;"),
        *("{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{% raw %}", "{0.__class__}", "{}", "{0}"),
    ],
    "commands": [
        *(
            "$(touch a)",
            "`touch a`",
            "; touch a",
            "| touch a",
            "&& touch a",
            "$HOME",
            "${IFS}",
            "~",
        ),
        *(
            "${jndi:ldap://127.0.0.1/a}",
            "() { :; }; echo a",
            "eval('1')",
            "--help",
            "-rf",
            "@SUM(1)",
        ),
        *("=1+1", "+1+1", "-1+1", "__import__('os')", "EVAL 'return 1' 0", "\r\nFLUSHALL\r\n"),
    ],
    "formats": [
        *("%s", "%n", "%s%n%x%d", "%d" * 20, "%(asctime)s", "%*.*s", "{event}", "%99999999d", "%%"),
        *("%00", "%ff%fe", "%c0%af", "%2e%2e%2f", "%25", "%u0041", "%zz", "+", "&#0;", "\\u0000"),
    ],
    "paths": [
        *("../../etc/passwd", "..\\..\\a", "/etc/passwd%00", "file:///etc/passwd", "C:\\a", "a/b"),
        *(
            "//a",
            "/./a",
            "a/../b",
            "\\\\a\\b",
            "?a=b",
            "#a",
            ";a=b",
            "a&b=c",
            "@a",
            "http://a.test/",
        ),
    ],
    "xml": [
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "<a>" * 20,
        "<![CDATA[a]]>",
    ],
    "long": ["a" * 255, "a" * 256, "a" * 1024, "\u5c0f" * 600, "\U0001f600" * 400, "," * 600],
}

NAUGHTY = {
    f"{name}-{number}": text
    for name, texts in _CLASSES.items()
    for number, text in zip(itertools.count(1), texts, strict=False)
}
