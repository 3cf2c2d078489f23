"""JSON as the contract reads it: loose types, strict syntax, and a printer that loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.tree import (
    Number,
    TreeError,
    as_boolean,
    as_integer,
    as_integers,
    as_text,
    parse,
    require,
    to_line,
    to_text,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_object_or_a_tree_error(data: bytes) -> None:
    try:
        tree = parse(data)
    except TreeError:
        return
    assert isinstance(tree, dict)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_what_was_read_is_written_back_with_the_same_meaning(value: dict[str, object]) -> None:
    assert json.loads(to_text(parse(json.dumps(value)))) == value


def test_numbers_keep_their_digits() -> None:
    tree = parse('{"a": 1.50, "b": 1e999, "c": 123456789012345678901234567890}')
    assert '"a": 1.50' in to_text(tree)
    assert '"b": 1e999' in to_text(tree)
    assert '"c": 123456789012345678901234567890' in to_text(tree)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "error parsing JSON at line 1 :expected value"),
        ('{"a": 1,\n"b": }', "error parsing JSON at line 2 :expected value"),
        ("[1]", "error parsing JSON at line 1 :expected an object"),
        ("[" * 100_000, "error parsing JSON at line 1 :nested too deeply"),
        ('{"a":' * 60 + "1" + "}" * 60, "error parsing JSON at line 1 :nested too deeply"),
        ('{"a": NaN}', "error parsing JSON at line 1 :NaN is no JSON value"),
        ('{"a": "\\ud800"}', "error parsing JSON: a lone surrogate is no character"),
    ],
)
def test_refusals_say_where_and_why(text: str, answer: str) -> None:
    with pytest.raises(TreeError) as caught:
        parse(text)
    assert caught.value.text == answer


def test_latin_1_and_a_byte_order_mark_are_read() -> None:
    assert parse(b'{"name": "K\xfcche"}') == {"name": "Küche"}
    assert parse(b"\xef\xbb\xbf{}") == {}


def test_the_first_of_two_equal_keys_counts() -> None:
    assert parse('{"a": "x", "a": "y"}') == {"a": "x"}


@pytest.mark.parametrize("value", [Number("48"), "48", " 48 ", "+48"])
def test_a_number_may_be_quoted(value: str) -> None:
    assert as_integer(value) == 48


@pytest.mark.parametrize("value", ["", "4.0", "0x10", "1_0", "٤", True, None, {}, [], "9" * 30])
def test_what_is_no_integer_is_a_failed_conversion(value: object) -> None:
    with pytest.raises(TreeError, match='conversion of data to type "h" failed'):
        as_integer(value, "h")


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("false", False),
        (Number("1"), True),
        ("0", False),
    ],
)
def test_booleans_are_loose(value: object, meaning: bool) -> None:
    assert as_boolean(value) is meaning


@pytest.mark.parametrize("value", ["yes", Number("2"), "True", None, [], {}])
def test_other_words_are_no_booleans(value: object) -> None:
    with pytest.raises(TreeError, match='"b" failed'):
        as_boolean(value)


def test_scalars_of_any_type_are_texts() -> None:
    assert [as_text(each) for each in (True, None, Number("1.5"), "x", {}, [1])] == [
        "true",
        "null",
        "1.5",
        "x",
        "",
        "",
    ]


def test_a_map_is_a_list_of_ints() -> None:
    assert as_integers([Number("0"), "1"]) == [0, 1]
    assert as_integers("") == []
    with pytest.raises(TreeError, match="out of range"):
        as_integers([Number("2147483648")])
    with pytest.raises(TreeError, match="out of range"):
        as_integers([Number("9" * 5000)])
    for bad in (["x"], [True], [[0]], "0", {}, None):
        with pytest.raises(TreeError, match="cannot perform number conversion"):
            as_integers(bad)


def test_the_first_missing_key_is_named() -> None:
    with pytest.raises(TreeError) as caught:
        require({"a": 1}, ("a", "b", "c"))
    assert caught.value.text == "error parsing JSON: No such node (b)"
    assert caught.value.bare == "No such node (b)"


def test_shapes_of_the_printer() -> None:
    assert to_line({"domain": 0, "dscp": 46}) == '{ "domain": 0, "dscp": 46 }'
    value = {"a": [0, 1], "b": [], "c": {}, "d": [{"e": True}], "f": "Küche\n"}
    assert to_text(value) == (
        '{\n  "a": [ 0, 1 ],\n  "b": [],\n  "c": {},\n'
        '  "d": [\n    {\n      "e": true\n    }\n  ],\n  "f": "Küche\\n"\n}'
    )
