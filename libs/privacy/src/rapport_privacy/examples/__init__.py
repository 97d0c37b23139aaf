"""Programs that show how a gate is used; tests and the demo run them."""
