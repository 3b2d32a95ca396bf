"""Parts of the console: the data of its pages, their templates, and the actions that they offer.

admin_server.py owns the routes, the start and the stop, and is not imported here. Rows are read through
`relay.storage.listings` and changed by the database's own verbs or by the channel servers.
"""
