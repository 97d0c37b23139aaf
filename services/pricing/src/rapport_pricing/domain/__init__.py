"""Rules of pricing: pure, with money in integer minor units; nothing here reads a clock, draws a number or does I/O."""
