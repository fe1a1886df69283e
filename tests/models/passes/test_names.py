import unicodedata

import pytest

from models.passes.names import holder, masked, name_key, tail


@pytest.mark.parametrize("name", ["Đỗ  Thị Mỹ Hà", " đỗ thị mỹ hà", "DO THI MY HA", "Đỗ Thị Mỹ Hà"])
def test_one_person_has_one_key_however_the_name_is_typed(name: str) -> None:
    assert name_key(name) == "DO THI MY HA"
    assert name_key(unicodedata.normalize("NFD", name)) == "DO THI MY HA"


def test_a_masked_name_keeps_its_initials() -> None:
    assert masked("Nguyễn Văn Anh") == "N***** V** A**"


@pytest.mark.parametrize(("number", "end"), [("001087029317", "317"), ("012345678", "678"), ("12345", ""), ("", "")])
def test_the_tail_of_a_number_is_three_digits(number: str, end: str) -> None:
    assert tail(number) == end


def test_a_holder_is_a_masked_name_and_a_tail() -> None:
    assert holder("Nguyễn Văn Anh", [("qid", "162979388586171100")]) == "N***** V** A** ···100"
    assert holder(None, []) == ""
