"""A seeded generator of customer records, for tests, benchmarks and the demo; nothing that serves imports it.

Noisy people over web, shop, app and call centre: names with typing errors and nicknames, moves, marriages, households
that share a telephone, a mailbox or a browser, numbers that were somebody else's, terminals, placeholders, twins, and
sons who bear their fathers' names.
"""

from rapport_identity.population.mix import Mix, Noise
from rapport_identity.population.people import Household, Mobile, Person
from rapport_identity.population.population import Population
from rapport_identity.population.sightings import Sighting, Truth

__all__ = ["Household", "Mix", "Mobile", "Noise", "Person", "Population", "Sighting", "Truth"]
