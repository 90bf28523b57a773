"""Statistics of the inputs of layers, for learned rounding.  docs/STATISTICS.md specifies the file."""
