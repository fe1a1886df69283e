"""A YAML file as a frozen, checked value; an error names file, path and line, and what to do."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """A part of a configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Section)


class BadDocument(ValueError):
    """A configuration that cannot be used; the message is a line per fault: `file:line: path: what and what to do`."""


def _line(node: yaml.Node | None, path: tuple[int | str, ...]) -> int:
    """The line of the deepest part of `path` that is written in the file."""
    line = 1
    for part in path:
        if node is None:
            break
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue  # a tag of a union in pydantic's path, or a key that is missing
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _words(error: dict[str, object]) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    if kind == "missing":
        return "missing; add it"
    given = error.get("input")
    return f"{message} (given: {given!r})" if isinstance(given, str | int | float) else message


def load(path: Path, kind: type[S]) -> S:
    """Read and check. Raises BadDocument with every fault in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadDocument(f"{path}: cannot be read: {error.strerror}; give the path of a configuration file") from error
    except UnicodeDecodeError as error:
        raise BadDocument(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    return parse(text, kind, name=str(path))


def parse(text: str, kind: type[S], *, name: str) -> S:
    """As `load`, from text; `name` stands for the file in messages."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadDocument(f"{name}:{line}: not YAML: {error.problem}; correct this line") from error
    except yaml.YAMLError as error:
        raise BadDocument(f"{name}:1: not YAML: {error}") from error
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = [
            f"{name}:{_line(node, at)}: {'.'.join(map(str, at)) or 'document'}: {_words(dict(fault))}"
            for fault in error.errors()
            for at in [fault["loc"]]
        ]
        raise BadDocument("\n".join(faults)) from error
