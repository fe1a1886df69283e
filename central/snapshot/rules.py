"""Which residents a gate carries. Pure."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from models.passes.packing import Person
from models.wire.snapshot import Part

Carry = Literal["all"] | tuple[str, ...]
"""Everybody, or the residents of these wards and whoever must not pass anywhere."""
ELSE = "*"
_MANY = 10_000


class Kept(Struct, frozen=True):
    """A file that has been built. `salt` names its key."""

    part: Part
    salt: str


class Scope(Struct, frozen=True, kw_only=True):
    """What all gates that carry the same residents get."""

    base: Kept
    mark: int
    """The last change that the base holds."""
    keys: int
    delta: Kept | None = None
    changes: int = 0
    """Since the mark, as far as base and delta hold them."""


class Built(Struct, frozen=True, kw_only=True):
    as_of: str
    kinds: tuple[str, ...]
    scopes: dict[str, Scope]
    common: dict[str, Kept]
    """What every gate gets, by the hash of its plain content."""


def carry_of(site: str, carry: Mapping[str, Carry]) -> Carry:
    return carry.get(site, carry.get(ELSE, ()))


def scope_name(carry: Carry) -> str:
    """Gates with the same list share their files."""
    if carry == "all":
        return carry
    return hashlib.sha256(msgspec.json.encode(sorted(set(carry)))).hexdigest()[:16]


def belongs(person: Person, wards: Carry, adverse: Collection[str]) -> bool:
    """Whether a changed resident is the scope's business. Who was flagged once is: the base may hold him so."""
    return wards == "all" or any(
        line.kind in adverse or (line.kind == "home_ward" and line.value in wards) for line in person.history
    )


def needs_new_base(scope: Scope | None, changed: Sequence[bytes] | None) -> bool:
    """A delta is read beside its base: it stays small, or a new base is built."""
    return scope is None or changed is None or len(changed) > max(_MANY, scope.keys // 10)
