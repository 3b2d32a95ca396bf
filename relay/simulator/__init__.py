"""Simulates Twilio, Telegram and the phones of their users.

Implements the providers' rules independently: it shares no code with the services under test, so it can catch their
mistakes. `simulator.py` wires it to a port.
"""
