"""The rules of the house that import-linter cannot see."""

import re
import subprocess
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
CENTRAL = ROOT / "central"
# load, bulk: bringing a file in has its own ways (a process beside, a bar, the rejected rows; staging, COPY), which no
# request shares.
# door: the one place that every request passes, auth's alone.
SHAPE = {"__init__.py", "README.md", "tables.py", "rules.py", "service.py", "routes.py", "load.py", "bulk.py"} | {
    "door.py"
}
# Not the city's business but central's own plumbing: these have shapes of their own.
PLUMBING = {"inbox", "migrations", "pages", "__pycache__"}
# Rings that follow a path through the house, and the frozen corpus, mirror no single file.
NO_MIRROR = {"flow", "faults", "wire"}
# Written so that this file does not match itself.
HOSTS = re.compile(
    rb"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian[.]org|archive[.]ubuntu[.]com|[.]pkg[.]dev|"
    rb"conda[.]anaconda|proxy[.]golang|static[.]crates",
)


def rooms() -> list[Path]:
    return sorted(folder for folder in CENTRAL.iterdir() if folder.is_dir() and folder.name not in PLUMBING)


def project_files() -> list[Path]:
    """What git holds or is about to hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("models", "edge", "central", cache_dir=None)


def test_every_room_of_central_has_only_files_of_the_one_shape() -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for room in rooms()
        for path in room.iterdir()
        if path.name != "__pycache__" and path.name not in SHAPE and path.suffix != ".html"
    ]
    assert strangers == []


def test_another_rooms_tables_are_nobodys_business(imports: grimp.ImportGraph) -> None:
    intruders = []
    for tables in sorted(name for name in imports.modules if name.endswith(".tables")):
        home = tables.removesuffix(".tables")
        for importer in sorted(imports.find_modules_that_directly_import(tables)):
            plumbing = home.rpartition(".")[2] in PLUMBING and importer.startswith(home)
            if not plumbing and importer not in {f"{home}.service", "central.migrations.env"}:
                intruders.append(f"{importer} imports {tables}")
    assert intruders == []


def test_every_routes_file_is_mounted_in_app(imports: grimp.ImportGraph) -> None:
    routes = {name for name in imports.modules if name.startswith("central.") and name.endswith(".routes")}
    mounted = imports.find_modules_directly_imported_by("central.app") if "central.app" in imports.modules else set()
    assert routes - mounted == set()


def test_migrations_follow_one_another_in_one_line() -> None:
    revisions = {}
    for path in (CENTRAL / "migrations" / "versions").glob("*.py"):
        found = dict(
            re.findall(r'^(revision|down_revision) = "?(\w+)"?$', path.read_text(encoding="utf-8"), re.MULTILINE)
        )
        revisions[found["revision"]] = found["down_revision"]
    assert len(set(revisions.values())) == len(revisions), "two follow the same one: let the newer follow the other"


def test_every_test_file_mirrors_a_source_file() -> None:
    orphans = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = test.parent.relative_to(ROOT / "tests")
        # the tests beside this one look at the house as a whole
        if not folder.parts or folder.parts[0] in NO_MIRROR:
            continue
        name = test.stem.removeprefix("test_")
        # a module, a script without suffix, a package, `__main__.py`, a file of another language
        sources = [ROOT / folder / name, ROOT / folder / f"__{name}__.py", *(ROOT / folder).glob(f"{name}.*")]
        sources += [ROOT / folder / name.replace("_", "-")]
        if not any(source.exists() for source in sources):
            orphans.append(str(test.relative_to(ROOT)))
    assert orphans == []


def test_pages_fetch_nothing_from_elsewhere() -> None:
    foreign = re.compile(r"""https?://(?!www\.w3\.org/)[^\s"'<>)]*|(?:src|href)=["']//[^"']*""")
    found = [
        f"{path.relative_to(ROOT)}: {match}"
        for path in project_files()
        if path.suffix in {".html", ".js", ".css", ".svg"}
        for match in foreign.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_file_names_a_package_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.decode()}"
        for path in project_files()
        for match in HOSTS.findall(path.read_bytes())
    ]
    assert found == []
