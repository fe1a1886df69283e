"""Streets and their districts from a GeoJSON file: which counted zones look at which street."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

Words = Annotated[str, Field(min_length=1, max_length=120)]


class BadStreets(ValueError):
    """A file that cannot be used; the message names the feature and what to do."""


class Properties(BaseModel):
    street: Words | None = None
    """Without it the feature is the outline of the district itself."""
    district: Words
    zones: tuple[Annotated[str, Field(pattern=r"^[^/]+/[^/]+/[^/]+$")], ...] = ()
    """`site/camera/zone` of each zone that counts on it."""


class Feature(BaseModel):
    type: Literal["Feature"]
    properties: Properties
    geometry: dict[str, Any] | None = None


def read(path: Path) -> Iterator[Feature]:
    """Raises BadStreets."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadStreets(f"{path}: cannot be read as JSON ({type(error).__name__}); give a GeoJSON file") from error
    features = told.get("features") if isinstance(told, dict) and told.get("type") == "FeatureCollection" else None
    if not isinstance(features, list):
        raise BadStreets(f"{path}: is no FeatureCollection; export the streets as GeoJSON")
    names: set[str | tuple[str]] = set()
    zones: set[str] = set()
    for number, one in enumerate(features, start=1):
        try:
            feature = Feature.model_validate(one)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise BadStreets(f"{path}: feature {number}: {place}: {first['msg']}; correct it there") from error
        known = feature.properties
        name = known.street or (known.district,)
        if not known.street and (
            known.zones or (feature.geometry or {}).get("type") not in {"Polygon", "MultiPolygon"}
        ):
            raise BadStreets(f"{path}: feature {number}: a polygon alone can be a district; else give it a `street`")
        if name in names or zones & set(known.zones):
            raise BadStreets(
                f"{path}: feature {number}: its street, its district or one of its zones stands there already; keep one"
            )
        names.add(name)
        zones |= set(known.zones)
        yield feature
