"""The consent gate and the participant side of privacy requests."""
