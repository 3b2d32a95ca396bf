"""A hosted channel: neither program, port nor settings of its own."""
