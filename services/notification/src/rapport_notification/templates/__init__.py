"""Renders what is sent, in a process that can do nothing else."""
