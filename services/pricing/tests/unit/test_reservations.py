import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.promotions import Caps
from rapport_pricing.domain.reservations import Reservation, Tally, commit, release, reserve


@given(st.lists(st.tuples(st.sampled_from(["reserve", "commit", "release"]), st.integers(0, 60)), max_size=60))
def test_what_is_held_and_used_never_exceeds_a_cap(steps):
    caps = Caps(uses=6, uses_each=4, budget=150)
    tally, held, mine = Tally(), [], 0
    for number, (step, amount) in enumerate(steps):
        if step == "reserve":
            try:
                tally = reserve(tally, caps, amount, uses_of_customer=mine)
            except RapportError as error:
                refused = error.reason.name
                used = tally.reserved_amount + tally.committed_amount
                full = tally.reserved_uses + tally.committed_uses >= 6 or used + amount > 150
            else:
                refused, full = "", True
                held.append(Reservation("p", f"q{number}", amount, 100))
                mine += 1
            assert (refused == "CUSTOMER_CAP_REACHED") == (mine >= 4 and bool(refused))
            assert full or refused == "CUSTOMER_CAP_REACHED"
        elif held:
            each = held.pop(0)
            if step == "commit":
                tally = commit(tally, each, paid=each.amount // 2, at_us=99)
            else:
                tally, mine = release(tally, each), mine - 1
        assert tally.reserved_uses + tally.committed_uses <= 6
        assert tally.reserved_amount + tally.committed_amount <= 150
        assert (tally.reserved_uses, tally.reserved_amount) == (len(held), sum(each.amount for each in held))


def test_a_reservation_that_ran_out_or_would_cost_more_is_not_committed():
    each = Reservation("p", "q", 10, 100)
    tally = reserve(Tally(), Caps(uses=1), 10, uses_of_customer=0)
    assert commit(tally, each, paid=10, at_us=99).committed_amount == 10
    with pytest.raises(RapportError, match="RESERVATION_LAPSED"):
        commit(tally, each, paid=10, at_us=100)
    with pytest.raises(RapportError, match="BUDGET_EXHAUSTED"):
        commit(tally, each, paid=11, at_us=99)
