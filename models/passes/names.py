"""Names as keys, and as the little that an officer's screen may show of them."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache


def tidy(text: str) -> str:
    """Composed letters and single spaces, as people type them: the same name has one spelling."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def name_key(name: str) -> str:
    """Upper case, no diacritics, single spaces: `Võ Anh  Yến` and `VO ANH YEN` are the same key."""
    return " ".join([_bare(word) for word in name.split()])


@lru_cache(65_536)
def _bare(word: str) -> str:
    """A city has few different words in its names."""
    apart = unicodedata.normalize("NFD", word.replace("đ", "d").replace("Đ", "D"))
    return "".join([letter for letter in apart if not unicodedata.combining(letter)]).upper()


def masked(name: str) -> str:
    """`Nguyễn Văn An` -> `N***** V** A*`."""
    return " ".join(word[0] + "*" * (len(word) - 1) for word in name_key(name).split())


def tail(number: str) -> str:
    """The last three characters of a number; of a shorter one nothing, since they would be all of it."""
    return number[-3:] if len(number) > 6 else ""


def holder(name: str | None, ids: Sequence[tuple[str, str]]) -> str:
    """What the officer's screen shows of who holds a code: masked name and the tail of the best number."""
    parts = [masked(name) if name else "", f"···{end}" if ids and (end := tail(ids[0][1])) else ""]
    return " ".join(part for part in parts if part)
