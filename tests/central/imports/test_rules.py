from central.imports.rules import guess, look


def test_columns_are_known_by_what_people_call_them() -> None:
    header = [
        "STT",
        "Họ và tên",
        "Số CCCD",
        "Ngày sinh",
        "Giới tính",
        "Phường/Xã",
        "CMND cũ",
        "Số mũi",
        "F0",
        "Ghi chú",
    ]
    assert guess(header) == ["", "name", "number", "birth", "sex", "ward", "old_number", "doses", "f0", ""]
    assert guess(["number", "old_number", "order_place"]) == ["number", "old_number", "order_place"]


def test_no_column_of_ours_is_given_twice() -> None:
    assert guess(["Họ tên", "Tên", "CCCD", "Số CCCD"]) == ["name", "", "number", ""]


def test_each_row_says_why_it_would_be_refused_and_shows_no_number() -> None:
    columns = ["number", "name", "birth", "sex", "ward", ""]
    rows = [
        (2, ["001080000001", "Nguyễn Văn An", "1980", "Nam", "Ba Đình", "001080000001"]),
        (3, ["12", "Trần Thị Bình", "1981", "Nữ", "Đống Đa", ""]),
        (4, ["001080000003", "Chi"]),
    ]
    first, second, third = look(columns, rows)
    assert (first.refused, second.refused, third.refused) == (
        None, "number: neither 12 digits (CCCD) nor 9 (CMND)", "2 cells instead of 6",
    )  # fmt: skip
    assert first.cells == ["*********001", "Nguyễn Văn An", "1980", "Nam", "Ba Đình", "*********001"]
