"""Shared by all servers: app, middleware, access control, error responses, and running until a signal."""
