"""Routes chat requests: choice of the provider, retries and fallbacks, limits, spending.

The protocols of the providers are in relay.llm.providers, the HTTP routes in llm_server.
"""
