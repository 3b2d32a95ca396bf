"""Alerts: what is wrong now, when an operator is called for it, and the sending by apprise."""
