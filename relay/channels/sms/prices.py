"""What texts cost, by country: estimates in USD from prices.csv, dated in its first line; settings override them.

text: one segment out, carriers' fees included; text_in: one segment in; media, media_in: one message with pictures.
The row * is for all other countries. Twilio's own list: https://www.twilio.com/en-us/sms/pricing
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import phonenumbers

from relay.channels.sms.settings import SmsSettings

PRICES_FILE = Path(__file__).with_name("prices.csv")
OTHERS = "*"
KNOWN_NUMBERS = 4096
"""How many numbers are remembered with what was found out about them: that takes as long as storing a message."""


@dataclass(frozen=True, slots=True)
class Price:
    """The prices of one country, in USD."""

    text: float
    text_in: float
    media: float
    media_in: float


@cache
def read_prices(path: Path = PRICES_FILE) -> dict[str, Price]:
    """The prices by ISO country code. Raises ValueError or KeyError when the file is not as described."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {
        row.pop("country"): Price(**{key: float(value) for key, value in row.items()}) for row in csv.DictReader(lines)
    }


@lru_cache(maxsize=KNOWN_NUMBERS)
def parsed_number(number: str, region: str | None = None) -> phonenumbers.PhoneNumber:
    """A telephone number; parsing it takes longer than all that is asked of it. Raises NumberParseException."""
    return phonenumbers.parse(number, region)


@lru_cache(maxsize=KNOWN_NUMBERS)
def price_for(number: str, usual: float, own: tuple[tuple[str, float], ...] = ()) -> Price:
    """The prices for texts to and from a number.

    usual: of a segment to the United States and Canada. own: of a segment to a country, by its code, instead.
    """
    prices = dict(read_prices())
    for code, text in own:
        row = prices.get(code, prices[OTHERS])
        prices[code] = replace(row, text=text, media=text if row.media == row.text else row.media)
    try:
        parsed = parsed_number(number)
    except phonenumbers.NumberParseException:
        return prices[OTHERS]
    country = phonenumbers.region_code_for_number(parsed)
    if parsed.country_code == 1 and country in {None, "US", "CA"} and (country or "US") not in dict(own):
        home = prices["US"]
        return Price(usual, home.text_in, home.media, home.media_in)
    mother = phonenumbers.region_code_for_country_code(parsed.country_code or 0)  # of an island, as Guernsey is
    return prices.get(country or mother) or prices.get(mother) or prices[OTHERS]


def text_usd(settings: SmsSettings, number: str) -> float:
    """The price of one segment to a number."""
    return price_for(number, settings.sms_segment_usd, settings.country_prices).text
