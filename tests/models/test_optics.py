import math

import cv2
import numpy as np
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from models.optics import READABLE_PX, SYMBOLS, View, prospect
from models.vision.qr import QrReader


@pytest.mark.parametrize(
    ("kind", "lens_degrees", "distance_m", "verdict"),
    [
        ("personal", 30, 1.0, "readable"),
        ("city", 30, 1.0, "readable"),
        ("hcert", 60, 0.5, "readable"),
        ("cccd", 60, 0.15, "readable"),
        ("cccd", 60, 0.30, "marginal"),
        ("cccd", 60, 1.0, "unreadable"),
        ("hcert", 90, 1.0, "unreadable"),
    ],
)
def test_a_full_hd_camera_reads_what_the_installer_is_promised(
    kind: str, lens_degrees: float, distance_m: float, verdict: str
) -> None:
    assert prospect(kind, View(width_px=1920, lens_degrees=lens_degrees, distance_m=distance_m)).verdict == verdict


@given(
    st.sampled_from(sorted(SYMBOLS)), st.integers(640, 3840), st.floats(10, 120), st.floats(0.1, 5.0)
)  # fmt: skip
def test_what_it_advises_makes_a_code_just_readable(kind: str, width: int, lens: float, distance: float) -> None:
    found = prospect(kind, View(width_px=width, lens_degrees=lens, distance_m=distance))
    nearer = prospect(kind, View(width_px=width, lens_degrees=lens, distance_m=found.farthest_m))
    narrower = prospect(kind, View(width_px=width, lens_degrees=found.widest_degrees, distance_m=distance))
    assert math.isclose(nearer.px_per_module, READABLE_PX, rel_tol=1e-6)
    assert math.isclose(narrower.px_per_module, READABLE_PX, rel_tol=1e-6)


@pytest.mark.parametrize("distance_m", [0.4, 0.7, 1.0])
def test_it_agrees_with_what_the_reader_measures_in_a_picture(distance_m: float) -> None:
    width, height, lens = 1920, 1080, 30.0
    symbol = segno.make_qr("0123456789" * 11, version=6, error="m")
    modules = np.array([[0 if dark else 255 for dark in row] for row in symbol.matrix], np.uint8)
    # a pinhole camera: where the corners of 50 mm of paper come to lie in the picture
    focal_px = width / 2 / math.tan(math.radians(lens / 2))
    half = 0.025 * focal_px / distance_m
    turned = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    corners = turned + np.array([width, height]) / 2
    side = modules.shape[0]
    flat = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    drawn = cv2.warpPerspective(
        np.kron(modules, np.ones((8, 8), np.uint8)), cv2.getPerspectiveTransform(flat * 8, corners.astype(np.float32)),
        (width, height), flags=cv2.INTER_AREA, borderValue=255,
    )  # fmt: skip
    (code,) = QrReader().read(cv2.GaussianBlur(drawn, (0, 0), 0.6).astype(np.uint8))
    expected = prospect("personal", View(width_px=width, lens_degrees=lens, distance_m=distance_m)).px_per_module
    assert code.px_per_module == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("width", "lens", "distance"), [(0, 60, 1), (1920, 180, 1), (1920, 60, 0)])
def test_a_view_that_cannot_be_is_refused(width: int, lens: float, distance: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        View(width_px=width, lens_degrees=lens, distance_m=distance)
