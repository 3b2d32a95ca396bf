"""The launcher's inner parts: what to start, how to start it, how to keep it running, how to say so."""
