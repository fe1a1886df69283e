"""Where a picture comes from, as anybody may read it."""

import re

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(\S*)")


def redact(text: str) -> str:
    """`text` in which every URL is cut to its scheme and host; users, passwords, paths and queries are gone."""

    def cut(match: re.Match[str]) -> str:
        authority, slash, rest = match[2].partition("/")
        if "@" in rest:  # a password that holds a slash: nobody can say where the host begins
            return f"{match[1]}…"
        host = re.split(r"[?#]", authority.rpartition("@")[2])[0]
        return f"{match[1]}{host}{'/…' if slash else ''}"

    return _URL.sub(cut, text)
