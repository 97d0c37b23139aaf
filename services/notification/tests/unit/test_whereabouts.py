from rapport_notification.domain.whereabouts import Evidence, Whereabouts, whereabouts

PARIS, LYON, LISBON = ("Europe/Paris", "FR"), ("Europe/Paris", ""), ("Europe/Lisbon", "PT")


def test_hints_that_agree_narrow_the_places_down_and_hints_that_do_not_widen_them() -> None:
    phone = Evidence("phone", frozenset({PARIS, LISBON}))
    assert whereabouts([phone, Evidence("market", frozenset({PARIS}))]) == Whereabouts((PARIS,), ("market", "phone"))
    assert whereabouts([phone, Evidence("market", frozenset({LYON}))]).candidates == (LISBON, LYON, PARIS)


def test_what_the_person_declared_stands_alone() -> None:
    found = whereabouts([Evidence("phone", frozenset({LISBON})), Evidence("declared", frozenset({PARIS}))])
    assert found == Whereabouts((PARIS,), ("declared",))


def test_without_evidence_there_is_no_place() -> None:
    assert whereabouts([]).candidates == ()
    assert whereabouts([Evidence("phone", frozenset())]).candidates == ()
