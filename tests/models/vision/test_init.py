import os
import subprocess
import sys
from pathlib import Path

_LOAD = """
from pathlib import Path
from models.vision.detector import Detector, Unusable
try:
    Detector(Path("broken.onnx"))
except Unusable:
    pass
"""


def test_the_detector_leaves_nothing_for_its_maker_in_the_home_folder(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    # CI machines are exempt by a variable of their own
    bare = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "PYTHONPATH": str(project_root)}
    subprocess.run([sys.executable, "-c", _LOAD], env=bare, cwd=tmp_path, check=True)
    assert not (tmp_path / "home").exists()
