"""Hands messages over: the parts of each channel that need neither the database nor the API."""
