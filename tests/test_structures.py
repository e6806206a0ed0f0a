from speaq.structures import Vocabulary

FIRST = Vocabulary(("cat", "dog", "tree"), ("on", "in"))


def test_equal_vocabularies_have_no_differences():
    assert FIRST.differences(Vocabulary(("cat", "dog", "tree"), ("on", "in"))) == []


def test_names_that_one_lacks_are_listed():
    assert FIRST.differences(Vocabulary(("cat", "bird", "tree"), ("on", "in", "under"))) == [
        "1 of 3 objects missing: 'dog'",
        "1 of 3 objects unexpected: 'bird'",
        "1 of 3 predicates unexpected: 'under'",
    ]


def test_another_order_is_named_where_it_begins():
    assert FIRST.differences(Vocabulary(("cat", "tree", "dog"), ("on", "in"))) == [
        "2 of the 3 objects are in another order, first at number 2: 'dog' and 'tree'"
    ]


def test_long_lists_are_cut():
    many = Vocabulary(tuple(f"class {i}" for i in range(150)), ("on", "in"))
    message = FIRST.differences(many)[1]
    assert message.endswith("'class 0', 'class 1', 'class 2', 'class 3', 'class 4' and 145 more")
