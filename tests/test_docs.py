"""What the documents promise exists, and what exists is named in them."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
KIOSK = ROOT / "configs" / "kiosk" / "README.md"


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_commands_of_the_readme_are_in_the_makefile() -> None:
    promised = set(re.findall(r"\bmake ([a-z]+)", text(README)))
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    assert {"demo", "test"} <= promised
    assert promised - targets == set()


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    silent = re.findall(r"^([a-z]+):(?!.*##)", text(ROOT / "Makefile"), re.MULTILINE)
    assert silent == []


@pytest.mark.parametrize("document", [README, CONTRIBUTING], ids=lambda path: path.name)
def test_every_script_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"\bscripts/[a-z][a-z_./-]*[a-z]", text(document)))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_executable_is_named_in_a_document() -> None:
    documents = text(README) + text(CONTRIBUTING)
    programs = {
        f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK)
    }
    assert {name for name in programs if not re.search(rf"\b{name}(?![\w-])", documents)} == set()


@pytest.mark.parametrize("document", [README, CONTRIBUTING, KIOSK], ids=lambda path: path.parent.name)
def test_every_local_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text(document))
    assert [link for link in links if not (document.parent / link).exists()] == []
