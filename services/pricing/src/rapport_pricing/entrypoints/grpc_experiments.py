"""rapport.pricing.v1.ExperimentService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rapport.pricing.v1 import authored_pb2, experiments_pb2, experiments_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, actor, author
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.rules import Kind, Rulebook
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.times import micros_of
from rapport_pricing.app.trial_report import report_on
from rapport_pricing.app.trials import Trial, shares_at
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.experiments import Unit as Given
from rapport_pricing.domain.promotions import Audience, Promotion
from rapport_pricing.entrypoints.ports import Store, Unit
from rapport_pricing.translate.authored import version_message
from rapport_pricing.translate.experiments import fairness_message, report_message
from rapport_pricing.translate.terms import terms_in, terms_of


@dataclass(frozen=True)
class ExperimentDesk(experiments_pb2_grpc.ExperimentServiceServicer):
    """Answers for experiments.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        shelf: Returns the catalogue.
        people: Who is whose.
        written: Has this process know what it has just written.
        clock: The time.
    """

    once: Once[Unit]
    store: Store
    shelf: Callable[[], Shelf]
    people: LedgerPeople
    written: Callable[[], Awaitable[object]]
    clock: Clock

    async def CreateExperiment(
        self, request: experiments_pb2.CreateExperimentRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """Draft an experiment."""
        name, by = request.experiment_id, author()
        trial = terms_of(name, 1, request.terms)
        assert isinstance(trial, Trial)

        async def drafted(unit: Unit) -> authored_pb2.AuthoredVersion:
            await _check(unit, trial, await (await unit.catalogue()).rulebook())
            body = request.terms.SerializeToString(deterministic=True)
            version = await unit.draft(Kind.EXPERIMENT, name, body, actor=by, now=self.clock.now())
            return version_message(Kind.EXPERIMENT, version)

        return await self.once.run(request, authored_pb2.AuthoredVersion, drafted, target=f"experiment/{name}")

    async def StopExperiment(
        self, request: experiments_pb2.StopExperimentRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """End an experiment."""
        name, by = request.experiment_id, actor()

        async def stopped(unit: Unit) -> authored_pb2.AuthoredVersion:
            version = await unit.retire(Kind.EXPERIMENT, name, actor=by, reason=request.reason)
            return version_message(Kind.EXPERIMENT, version)

        answer = await self.once.run(
            request, authored_pb2.AuthoredVersion, stopped, target=f"experiment/{name}", reason=request.reason
        )
        await self.written()
        return answer

    async def GetExperimentReport(
        self, request: experiments_pb2.GetExperimentReportRequest, context: Context
    ) -> experiments_pb2.ExperimentReport:
        """Say what an experiment showed: its latest version that ever ran, else the latest draft."""
        name = request.experiment_id
        async with self.store.unit() as unit:
            versions = await unit.versions(Kind.EXPERIMENT, name, None, ("", 0), _MOST)
            if not versions:
                raise ERRORS.error("EXPERIMENT_NOT_FOUND", "there is no such experiment", field="experiment_id")
            version = max(versions, key=lambda each: (each.state != "draft", each.version))
            units = await unit.trial_units(name, version.version)
        trial = terms_in(Kind.EXPERIMENT, name, version.version, version.body)
        assert isinstance(trial, Trial)
        shares = shares_at(trial, self.shelf().allocations.get(name, ()), micros_of(self.clock.now()))
        return report_message(trial, version, shares, units, report_on(trial, units))

    async def GetFairnessReport(
        self, request: experiments_pb2.GetFairnessReportRequest, context: Context
    ) -> experiments_pb2.FairnessReport:
        """Say whether prices treat groups alike."""
        groups = {name: each.group for each in request.panel for name in self.people.ids_of(each.profile_id)}
        since = moment(request.since) if request.HasField("since") else None
        async with self.store.unit() as unit:
            quotes = await unit.quotes_of(list(groups), since)
        return fairness_message([(groups[who], body, inputs, redeemed) for who, body, inputs, redeemed in quotes])


_MOST = 500


async def _check(unit: Unit, trial: Trial, rulebook: Rulebook) -> None:
    """Check that arms lower prices by promotions that there are, for those whom the experiment is given to.

    Raises:
        RapportError: EXPERIMENT_INVALID, MARKET_NOT_DECLARED, PROMOTION_NOT_FOUND.
    """
    if len({rulebook.market(name).currency for name in trial.markets}) > 1:
        raise ERRORS.error("EXPERIMENT_INVALID", "its markets have one currency", field="terms.markets")
    wanted = Audience.INDIVIDUAL if trial.experiment.unit is Given.ACCOUNT else Audience.PUBLIC
    for name in trial.promotions:
        promotion = await unit.first(Kind.PROMOTION, name)
        if not isinstance(promotion, Promotion):
            raise ERRORS.error("PROMOTION_NOT_FOUND", "there is no such promotion", field="terms.arms.promotion_id")
        if promotion.audience is not wanted:
            what = f"a promotion of such an experiment is {wanted.value}"
            raise ERRORS.error("EXPERIMENT_INVALID", what, field="terms.arms.promotion_id")
