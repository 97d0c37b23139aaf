"""The rules of consent: pure functions of the rows of the ledger, without I/O, clock or randomness."""
