"""Stored states go into messages whole, in order, and none too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapport.consent.v1 import ledger_pb2
from rapport_consent.adapters.snapshot_chunks import chunks_of

LIMIT = 400
STATES = st.lists(
    st.builds(
        lambda name, keys: ledger_pb2.SubjectState(
            profile_id=name, states=[ledger_pb2.KeyState(purpose_id=key) for key in keys]
        ),
        st.text("ab", min_size=1, max_size=300),
        st.lists(st.text("pq", max_size=200), max_size=3),
    ),
    max_size=20,
)


@given(STATES)
def test_messages_hold_the_states_in_order_and_are_no_larger_than_they_must(
    states: list[ledger_pb2.SubjectState],
) -> None:
    chunks = [message.chunk for message in chunks_of([state.SerializeToString() for state in states], LIMIT)]
    assert [subject for chunk in chunks for subject in chunk.subjects] == states
    for chunk in chunks:
        assert len(chunk.subjects) == 1 or sum(subject.ByteSize() for subject in chunk.subjects) <= LIMIT
