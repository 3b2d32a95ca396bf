"""The model providers, one module each: OpenRouter, Ollama, any OpenAI-compatible server, demo.

A provider implements one protocol; queues, retries and fallbacks are in relay.llm.gateway.
"""
