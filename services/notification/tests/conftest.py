"""What all tests of the member share."""

from hypothesis import settings

# The machine of a check is shared: how long one example takes says nothing.
settings.register_profile("notification", deadline=None)
settings.load_profile("notification")
