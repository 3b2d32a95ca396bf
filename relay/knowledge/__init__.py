"""What the operator lets the AI know: instructions, and documents of the business in a folder."""
