"""The way of one question: which source is asked, in which order, within which limits, and what it cost.

The sources' protocols are in relay.llm.providers, the HTTP routes in llm_server.
"""
