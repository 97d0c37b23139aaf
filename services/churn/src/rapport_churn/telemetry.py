"""What the churn service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName, SpanName

SCORED: Final = Attribute("rapport.churn.scored", "Customers who were due together.")
SCORE_AGAIN: Final = SpanName(
    "score again",
    "Customers are scored without being asked; linked to what was heard of them, as far as that is recorded.",
    attributes=(SCORED,),
)
POSITION: Final = GaugeName("rapport.churn.log.position", "{position}", "The event log is known up to here.")
STATES: Final = GaugeName("rapport.churn.states", "{profile}", "Customers whose state this process has in memory.")
FACT_OUTCOME: Final = Attribute(
    "rapport.churn.fact.outcome", "What became of it: kept, other_purpose, not_permitted, no_fact."
)
FACTS: Final = CounterName("rapport.churn.facts", "{event}", "Events that came to be kept as facts.", (FACT_OUTCOME,))
TOLD: Final = Attribute("rapport.churn.told", "What was told: score_updated, risk_raised, risk_cleared.")
TELLINGS: Final = CounterName("rapport.churn.told", "{event}", "What was told of customers.", (TOLD,))
VOIDED: Final = CounterName("rapport.churn.voided", "{profile}", "Customers whose scores or facts were removed.")
MODEL_AGE: Final = GaugeName("rapport.churn.model.age", "s", "Age of the last window that the champion was trained on.")
JOURNAL: Final = GaugeName("rapport.churn.journal.waiting", "{decision}", "Decisions that are not written yet.")
