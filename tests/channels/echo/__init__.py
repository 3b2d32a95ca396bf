"""A third channel: JSON over HTTP, in and out."""
