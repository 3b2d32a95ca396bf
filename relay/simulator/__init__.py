"""The stand-in for Twilio, Telegram and the phones of the people who write to us.

An independent reading of the providers' rules: it shares nothing with the services it talks to, so that it can catch
their mistakes. `simulator.py` wires it to a port.
"""
