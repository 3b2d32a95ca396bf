"""What every channel shares: value types, the conversation, the outbox, retries, limits, leases."""
