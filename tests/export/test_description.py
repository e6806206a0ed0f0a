from speaq.export.description import Description


def test_properties_restore_the_description():
    description = Description(
        version="0.1.0",
        objects=("cup, saucer", "<b>tasse</b> \N{HOT BEVERAGE}", '"$x_1$"', "\uace0\uc591\uc774"),
        predicates=("next to",),
        min_size=800,
        max_size=1333,
        nms_threshold=0.55,
        num_rel=None,
        predicate_counts=(7,),
    )
    properties = description.to_properties()
    assert properties["speaq.min_size"] == "800"
    assert properties["speaq.num_rel"] == "null"
    assert all(isinstance(value, str) for value in properties.values())
    assert Description.from_properties(properties | {"author": "someone"}) == description
    assert description.vocabulary.objects == description.objects
    del properties["speaq.predicate_counts"]  # as in files of earlier versions
    assert Description.from_properties(properties).predicate_counts == ()
