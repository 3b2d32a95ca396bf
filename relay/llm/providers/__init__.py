"""The sources of answers, each a small module behind one verb: OpenRouter, Ollama, any OpenAI-compatible server, demo.

A source speaks one protocol and knows nothing of queues, retries or other sources: that is relay.llm.gateway's part.
"""
