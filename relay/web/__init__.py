"""What every server has: the app, access, errors, and serving until a signal."""
