"""Attachments: fetched within limits, kept by their hash, and read for the model: pictures, recordings, documents."""
