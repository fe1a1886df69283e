import os
from pathlib import Path

from scripts.city.faults import Campaign
from tests.clips import render


def test_random_faults_of_cameras_leave_nothing_stuck(tmp_path: Path) -> None:
    """A short run; `CUAO_LONG=1` makes it a long one, `scripts/bench/faults-camera` measures it."""
    clips = [render(tmp_path / "clip.mp4"), render(tmp_path / "other.mp4", size=(320, 240))]
    faults = 400 if os.environ.get("CUAO_LONG") else 20
    outcome = Campaign(clips, cameras=10, seed=3).run(faults)
    assert len(outcome.suffered) == faults
    assert max(outcome.threads_more, outcome.files_more, outcome.eye_restarts) <= 0
    assert outcome.noticed_max_s() < float("inf")
