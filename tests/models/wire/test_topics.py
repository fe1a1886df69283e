import pytest

from models.wire import topics


def test_a_box_speaks_and_listens_under_its_own_name() -> None:
    box = topics.Box("cp-014", "edge-01")
    assert (box.event, box.receipt) == ("v1/cp-014/edge-01/event", "v1/cp-014/edge-01/receipt")
    leaves = [box.state, box.verdict, box.live, box.config, box.snapshot, box.command, box.answer]
    assert all(topics.box_of(topic) == box for topic in leaves)


@pytest.mark.parametrize("topic", ["v1/central/state", "v2/a/b/event", "v1/a/b/event/more", "v1//b/event", ""])
def test_a_strange_topic_belongs_to_no_box(topic: str) -> None:
    with pytest.raises(ValueError, match="not a box's topic"):
        topics.box_of(topic)
