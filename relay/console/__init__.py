"""The inside of the console: what its pages show, how they look, and the few things they can do.

admin_server.py owns the routes, the start and the stop; this package knows nothing of it. Rows are read through
`relay.storage.queries` and changed by the database's own verbs or by the channel servers.
"""
