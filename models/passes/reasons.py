"""Every reason an answer can carry: a closed table, so that each has its text, its number and its secrecy.

A screen finds the text under `reason.<name>` in its catalogue. The queue behind a person sees only the number of a
medical reason; the officer reads the text. A later release may add a reason: a reader shows an unknown one by its name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from models.passes.outcome import Outcome


class Reason(NamedTuple):
    code: int
    """What is shown where others can read along."""
    outcome: Outcome
    """The answer it usually leads to; the policy's row decides. PASS: told of a code, and held against nobody."""
    medical: bool = False
    """Says something of a person's health: never shown to the queue."""


REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        # the person
        "f0": Reason(12, Outcome.FAIL, medical=True),
        "f1": Reason(13, Outcome.FAIL, medical=True),
        "order_elsewhere": Reason(14, Outcome.FAIL, medical=True),
        "order_broken": Reason(19, Outcome.FAIL, medical=True),
        "symptoms": Reason(15, Outcome.CHECK, medical=True),
        "unknown": Reason(21, Outcome.CHECK),
        "no_number": Reason(22, Outcome.CHECK),
        "no_declaration": Reason(23, Outcome.CHECK),
        "declaration_expired": Reason(24, Outcome.CHECK),
        "flagged": Reason(25, Outcome.CHECK),
        "no_permit": Reason(28, Outcome.CHECK),
        "no_immunity": Reason(16, Outcome.CHECK, medical=True),
        "no_test": Reason(17, Outcome.CHECK, medical=True),
        "tested_positive": Reason(18, Outcome.CHECK, medical=True),
        "no_data": Reason(26, Outcome.CHECK),
        "stale_data": Reason(27, Outcome.CHECK),
        "photo_id": Reason(29, Outcome.CHECK),
        # the code
        "province": Reason(31, Outcome.CHECK),
        "century": Reason(32, Outcome.CHECK),
        "year": Reason(33, Outcome.CHECK),
        "birth_date": Reason(34, Outcome.CHECK),
        "format": Reason(35, Outcome.CHECK),
        "encoding": Reason(36, Outcome.CHECK),
        "unsupported": Reason(37, Outcome.CHECK),
        "not_a_pass": Reason(38, Outcome.CHECK),
        "signature": Reason(39, Outcome.CHECK),
        "unknown_key": Reason(40, Outcome.CHECK),
        "prefix": Reason(41, Outcome.CHECK),
        "base45": Reason(42, Outcome.CHECK),
        "compression": Reason(43, Outcome.CHECK),
        "cbor": Reason(44, Outcome.CHECK),
        "cose": Reason(45, Outcome.CHECK),
        "schema": Reason(46, Outcome.CHECK),
        "expired": Reason(47, Outcome.CHECK),
        "not_yet": Reason(48, Outcome.CHECK),
        "key_usage": Reason(49, Outcome.CHECK),
        "key_expired": Reason(50, Outcome.CHECK),
        "no_expiry": Reason(60, Outcome.CHECK),
        "revoked": Reason(61, Outcome.CHECK),
        "masked": Reason(62, Outcome.PASS),
        "hex": Reason(63, Outcome.CHECK),
        "number": Reason(64, Outcome.CHECK),
        "old_number": Reason(65, Outcome.CHECK),
        "issue_date": Reason(66, Outcome.CHECK),
        "benefit": Reason(67, Outcome.CHECK),
        "valid_dates": Reason(69, Outcome.CHECK),
        "qid": Reason(68, Outcome.CHECK),
        "paper": Reason(70, Outcome.CHECK),
        # ourselves
        "no_registry": Reason(51, Outcome.CHECK),
        "no_policy": Reason(52, Outcome.CHECK),
        "rule_error": Reason(53, Outcome.CHECK),
        "clock_unset": Reason(54, Outcome.CHECK),
    }
)
