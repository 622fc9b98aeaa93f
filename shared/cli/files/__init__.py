"""Files with the configuration: read from YAML with the place of each value, merged, and checked offline."""
