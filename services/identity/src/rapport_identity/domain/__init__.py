"""Rules of identity resolution: pure, without I/O, clock or randomness."""
