"""The inside of the Telegram service: the Bot API, updates, Markdown as entities, and cutting."""
