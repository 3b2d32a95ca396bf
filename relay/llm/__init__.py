"""Language models: the inside of the LLM server, and the client that the channels use.

`providers` implement the wire formats of model APIs, `gateway` routes requests to them, `chat` has the shared values.
"""
