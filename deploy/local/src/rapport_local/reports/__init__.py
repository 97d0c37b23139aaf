"""Pages a person reads: one HTML file each, without a script, that opens from a disk."""
