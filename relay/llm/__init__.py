"""Everything about language models: the LLM server's inside, and the client that the channels ask it with.

`providers` speaks the protocols of the sources, `gateway` decides which one is asked, `chat` has the values of both.
"""
