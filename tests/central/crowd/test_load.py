import json
from pathlib import Path
from typing import Any

import pytest

from central.crowd.load import BadStreets, read


def feature(street: str, *zones: str) -> dict[str, Any]:
    properties = {"street": street, "district": "Ba Đình", "zones": zones}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Point", "coordinates": [105.8, 21.0]}}


def outline(district: str) -> dict[str, Any]:
    ring = [[105.8, 21.0], [105.9, 21.0], [105.9, 21.1], [105.8, 21.0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {"district": district}, "geometry": shape}


def write(folder: Path, *features: object) -> Path:
    path = folder / "streets.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def test_streets_come_with_their_district_and_zones(tmp_path: Path) -> None:
    (one,) = read(write(tmp_path, feature("Phố Huế", "cp-1/cam-1/road")))
    assert (one.properties.street, one.properties.district) == ("Phố Huế", "Ba Đình")
    assert one.properties.zones == ("cp-1/cam-1/road",)


def test_a_polygon_without_a_street_is_the_outline_of_its_district(tmp_path: Path) -> None:
    street, area = read(write(tmp_path, feature("Phố Huế"), outline("Ba Đình")))
    assert (street.properties.street, area.properties.street) == ("Phố Huế", None)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([{"type": "Feature", "properties": {"street": "Phố Huế"}}], "feature 1: properties.district"),
        ([feature("Phố Huế", "cam-1")], r"feature 1: properties.zones.0"),
        ([feature("Phố Huế"), feature("Phố Huế")], "feature 2: .* there already"),
        ([feature("Phố Huế", "a/b/c"), feature("Hàng Bài", "a/b/c")], "feature 2: .* there already"),
        ([outline("Ba Đình"), outline("Ba Đình")], "feature 2: .* there already"),
        ([outline("Ba Đình") | {"geometry": None}], "feature 1: a polygon alone"),
    ],
)
def test_a_fault_names_its_feature(tmp_path: Path, features: list[object], said: str) -> None:
    with pytest.raises(BadStreets, match=said):
        list(read(write(tmp_path, *features)))


@pytest.mark.parametrize("content", ["", "[]", '{"type": "Feature"}', "\xff"])
def test_a_file_that_is_no_geojson_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "streets.geojson"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadStreets):
        list(read(path))
