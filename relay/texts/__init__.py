"""Everything that the product writes to people in its own words: one file of sentences a language."""

from typing import Final

ENGLISH: Final = "en"
"""The language of those who write in none that is offered, and of operators."""
