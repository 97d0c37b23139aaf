"""Between the contract's messages and the rules. Beside the entrypoints, the only place that sees generated code."""
