"""The settings of the SMS channel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from relay.config.errors import SettingsError
from relay.config.settings import Settings, SpendingCaps
from relay.config.types import (
    AccountSid,
    ApiKeySid,
    CountryPrices,
    PhoneNumber,
    Port,
    Secret,
    ServiceSid,
    Text,
    Url,
    Words,
)

SIMULATED_ACCOUNT_SID = "AC" + "51" * 16
SIMULATED_AUTH_TOKEN = "simulated-auth-token"  # noqa: S105 (opens nothing but the simulator on this machine)
SIMULATED_PHONE_NUMBER = "+15550100000"


class SmsSettings(Settings):
    """All settings that the SMS channel reads: the common ones and its own."""

    sms_server_port: Port = 8040
    """Port of the SMS server."""
    twilio_account_sid: AccountSid = None
    """Account SID, AC and 32 hex digits."""
    twilio_auth_token: Secret = None
    """Auth token; signs webhooks and, without an API key, gives access to the REST API."""
    twilio_api_key_sid: ApiKeySid = None
    """API key, SK and 32 hex digits: for the REST API instead of the auth token, which still signs webhooks."""
    twilio_api_key_secret: Secret = None
    """Secret of that API key."""
    twilio_secondary_auth_token: Secret = None
    """Second auth token during a rotation: webhooks signed with it pass too."""
    twilio_shared_key: Secret = None
    """Secret of a SharedKey of Twilio's Webhooks API; when set, only its SHA-256 signatures pass."""
    twilio_phone_number: PhoneNumber = None
    """Our number in E.164 format: +12345678900."""
    twilio_other_numbers: Words = ()
    """Our further numbers: who texts one of them is answered from it. Without a list every number whose webhook Twilio
    signs is ours."""
    twilio_messaging_service_sid: ServiceSid = None
    """Messaging Service to send through, MG and 32 hex digits."""
    twilio_api_base_url: Url = "https://api.twilio.com"
    """Base URL of Twilio's REST API."""
    validate_twilio_signature: bool | None = None
    """Refuse unsigned webhooks; when empty, true if an auth token is set."""
    sms_registration: Literal["required", "optional", "off"] = "required"
    """Ask an unknown number for a name before its questions are answered, with the first answer, or never."""
    sms_program_name: Text = None
    """What people text with, such as "Ann's Bakery": named in the first text."""
    sms_contact: Text = None
    """How to reach a person, such as a telephone number or an address: named in the first text."""
    sms_max_parts: Annotated[int, Field(ge=1, le=40)] = 6
    """Maximum number of texts per answer; the person may ask for the rest."""
    sms_max_segments: Annotated[int, Field(ge=1, le=400)] = 4
    """Maximum number of segments per answer, which are what a text costs; who texts MORE gets the rest, without the
    model."""
    sms_user_daily_usd: Annotated[float | None, Field(ge=0)] = 1.0
    """How much the texts from and to one person may cost in a day (UTC), as estimated; then the person is told so."""
    sms_daily_usd: Annotated[float | None, Field(ge=0)] = 50.0
    """How much all texts may cost in a day (UTC), as estimated; then no one is answered until the next day."""
    sms_monthly_usd: Annotated[float | None, Field(ge=0)] = 500.0
    """How much all texts may cost in a calendar month (UTC), as estimated."""
    sms_emoji: bool = False
    """Keep emoji in answers; without it they are left out where that saves a segment."""
    sms_fold_accents: bool = False
    """Write letters such as á without accents where that saves a segment; it changes the spelling of words."""
    sms_answer_tokens: Annotated[int, Field(ge=32, le=1_000_000)] = 800
    """Maximum number of tokens of an answer; the model is asked for no more."""
    sms_settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """How long to look for a text whose outcome at Twilio is unknown before it is sent again."""
    sms_part_seconds: Annotated[float, Field(ge=0, le=60)] = 3.0
    """How long a part waits at most until the part before it is reported as sent, so that they arrive in order."""
    sms_segments_per_second: Annotated[float | None, Field(ge=0, le=10_000)] = None
    """How many segments our number sends in a second; beyond a minute's worth they wait here, not at Twilio. When
    empty, 1 for a number of the United States or Canada, 3 for a toll-free one, 100 for a short code, 10 elsewhere. 0,
    and with a Messaging Service: no limit."""
    sms_validity_seconds: Annotated[int, Field(ge=60, le=36_000)] = 14_400
    """How long Twilio may keep a text in its queue; then it is not sent any more, and listed as failed (30036)."""
    sms_segment_usd: Annotated[float, Field(ge=0, le=10)] = 0.012
    """Price of one segment to the United States and Canada, with all fees; others: relay/channels/sms/prices.csv."""
    sms_country_usd: CountryPrices = {}  # noqa: RUF012 (pydantic copies it)
    """Prices of one segment to other countries, instead of those estimates: {"DE": 0.0925, "GB": 0.04}."""

    @property
    def country_prices(self) -> tuple[tuple[str, float], ...]:
        return tuple(self.sms_country_usd.items())

    @property
    def spending_caps(self) -> SpendingCaps:
        return SpendingCaps(self.sms_user_daily_usd, self.sms_daily_usd, self.sms_monthly_usd)

    @property
    def check_signatures(self) -> bool:
        """Whether an unsigned webhook of Twilio is refused."""
        if self.validate_twilio_signature is not None:
            return self.validate_twilio_signature
        return self.twilio_auth_token is not None

    def simulated_values(self) -> dict[str, Any]:
        return {
            **super().simulated_values(),
            "twilio_account_sid": SIMULATED_ACCOUNT_SID,
            "twilio_auth_token": SecretStr(SIMULATED_AUTH_TOKEN),
            "twilio_api_key_sid": None,
            "twilio_api_key_secret": None,
            "twilio_secondary_auth_token": None,
            "twilio_shared_key": None,
            "twilio_phone_number": SIMULATED_PHONE_NUMBER,
            "twilio_messaging_service_sid": None,
            "twilio_api_base_url": self.simulator_url,
            "validate_twilio_signature": False,
            "sms_segments_per_second": 0.0,
        }


def missing_credentials(settings: SmsSettings) -> tuple[str, ...]:
    """The settings without which no text can be sent and no webhook be verified; empty when all are there."""
    needed: dict[str, object] = {
        "twilio_account_sid": settings.twilio_account_sid,
        "twilio_auth_token": settings.twilio_auth_token,
        "twilio_phone_number (or twilio_messaging_service_sid)": settings.twilio_phone_number
        or settings.twilio_messaging_service_sid,
    }
    if settings.twilio_api_key_sid or settings.twilio_api_key_secret:
        needed["twilio_api_key_sid"] = settings.twilio_api_key_sid
        needed["twilio_api_key_secret"] = settings.twilio_api_key_secret
    return tuple(key for key, value in needed.items() if not value)


def credentials(settings: SmsSettings) -> tuple[str, str]:
    """Account SID and auth token. Raises SettingsError naming the keys that are missing."""
    token = settings.twilio_auth_token
    missing = missing_credentials(settings)
    if missing or token is None or settings.twilio_account_sid is None:
        msg = (
            f"The SMS server lacks {', '.join(missing)}: set them in config.json, .env or the environment, "
            "or try everything without an account: python start_all_servers.py --demo"
        )
        raise SettingsError(msg)
    return settings.twilio_account_sid, token.get_secret_value()


def rest_credentials(settings: SmsSettings) -> tuple[str, str]:
    """User name and password of the REST API: the API key, or account SID and auth token. Raises SettingsError."""
    account = credentials(settings)
    sid, secret = settings.twilio_api_key_sid, settings.twilio_api_key_secret
    return (sid, secret.get_secret_value()) if sid and secret else account
