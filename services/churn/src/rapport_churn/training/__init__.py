"""Training, offline: the only place that imports the libraries that learn."""
