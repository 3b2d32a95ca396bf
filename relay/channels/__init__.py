"""The channels, a folder each, and their common server and routes."""
