"""Events: written with the state they tell of, published once by a relay, taken in once by each reader."""
