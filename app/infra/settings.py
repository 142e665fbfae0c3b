"""What a deployment may set, read once in a front door and passed down frozen.

Names in the environment are those of the requirements (`ARAGORA_…`, `STRIPE_…`); every setting is
described in docs/configuration.md. Development works with none of them; production refuses to
start with a development default that would be unsafe there.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MINIMUM_SECRET_BYTES = 32

Environment = Literal["development", "test", "production"]


class StripePrices(BaseModel):
    """Stripe's price ids by plan and by metered metric; a plan without one cannot be bought."""

    model_config = ConfigDict(frozen=True)

    plans: dict[str, str] = {}
    metered: dict[str, str] = {}


class Settings(BaseSettings):
    """All settings of one process. Secrets are `SecretStr`: they never print."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    # The service
    env: Environment = Field("development", validation_alias="ARAGORA_ENV")
    host: str = Field("127.0.0.1", validation_alias="ARAGORA_HOST")
    port: int = Field(8000, ge=0, le=65535, validation_alias="ARAGORA_PORT")
    workers: int = Field(1, ge=1, le=64, validation_alias="ARAGORA_WORKERS")
    public_url: str | None = Field(None, validation_alias="ARAGORA_PUBLIC_URL")
    app_url: str | None = Field(
        None, pattern=r"^https?://[^\s<>\"']+$", validation_alias="ARAGORA_APP_URL"
    )
    data_dir: Path = Field(Path("var"), validation_alias="ARAGORA_DATA_DIR")
    catalog: str = Field("aragora", validation_alias="ARAGORA_CATALOG")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="ARAGORA_LOG_LEVEL"
    )
    rate_limits: Literal["on", "off"] = Field("on", validation_alias="ARAGORA_RATE_LIMITS")
    jobs: Literal["inline-worker", "separate"] | None = Field(None, validation_alias="ARAGORA_JOBS")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), validation_alias="ARAGORA_CORS_ORIGINS"
    )
    trusted_proxies: str = Field("127.0.0.1", validation_alias="ARAGORA_TRUSTED_PROXIES")

    # Database
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    # Set by `serve` for the processes that it gives an embedded server.
    database_embedded: bool = Field(False, validation_alias="ARAGORA_DATABASE_EMBEDDED")
    database_pool_size: int = Field(8, ge=2, le=200, validation_alias="ARAGORA_DATABASE_POOL_SIZE")

    # People
    jwt_secret: SecretStr | None = Field(None, validation_alias="ARAGORA_JWT_SECRET")
    jwt_expiry_hours: int = Field(24, ge=1, le=24 * 30, validation_alias="ARAGORA_JWT_EXPIRY_HOURS")
    refresh_token_expiry_days: int = Field(
        30, ge=1, le=365, validation_alias="ARAGORA_REFRESH_TOKEN_EXPIRY_DAYS"
    )
    admin_email: str | None = Field(None, validation_alias="ARAGORA_ADMIN_EMAIL")
    admin_password: SecretStr | None = Field(None, validation_alias="ARAGORA_ADMIN_PASSWORD")

    # Mail and notices
    smtp_host: str | None = Field(None, validation_alias="ARAGORA_SMTP_HOST")
    smtp_port: int = Field(587, ge=1, le=65535, validation_alias="ARAGORA_SMTP_PORT")
    smtp_user: str | None = Field(None, validation_alias="ARAGORA_SMTP_USER")
    smtp_password: SecretStr | None = Field(None, validation_alias="ARAGORA_SMTP_PASSWORD")
    smtp_from: str = Field("billing@aragora.ai", validation_alias="ARAGORA_SMTP_FROM")
    notification_webhook: SecretStr | None = Field(
        None, validation_alias="ARAGORA_NOTIFICATION_WEBHOOK"
    )

    # Lets webhook endpoints of customers lie inside the network: for development and tests.
    private_endpoints: bool = Field(False, validation_alias="ARAGORA_PRIVATE_ENDPOINTS")

    # Who sells: shown on every document
    seller_name: str = Field("Aragora", min_length=1, validation_alias="ARAGORA_SELLER_NAME")
    seller_address: str = Field("", validation_alias="ARAGORA_SELLER_ADDRESS")
    seller_email: str | None = Field(None, validation_alias="ARAGORA_SELLER_EMAIL")
    seller_tax_id: str | None = Field(None, validation_alias="ARAGORA_SELLER_TAX_ID")

    seller_country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", validation_alias="ARAGORA_SELLER_COUNTRY"
    )

    # How documents look
    document_color: str = Field("#1b1f24", validation_alias="ARAGORA_DOCUMENT_COLOR")
    document_logo: Path | None = Field(None, validation_alias="ARAGORA_DOCUMENT_LOGO")

    # Invoices of our own
    tax_name: str = Field("Tax", min_length=1, validation_alias="ARAGORA_TAX_NAME")
    tax_rate: Decimal = Field(Decimal(0), ge=0, le=1, validation_alias="ARAGORA_TAX_RATE")
    invoice_grace_hours: int = Field(
        24, ge=0, le=24 * 35, validation_alias="ARAGORA_INVOICE_GRACE_HOURS"
    )
    invoice_due_days: int = Field(14, ge=0, le=365, validation_alias="ARAGORA_INVOICE_DUE_DAYS")

    # Who else is told what was used
    lago_api_url: str | None = Field(None, validation_alias="LAGO_API_URL")
    lago_api_key: SecretStr | None = Field(None, validation_alias="LAGO_API_KEY")
    redis_url: SecretStr | None = Field(None, validation_alias="REDIS_URL")

    # Payment
    payment_grace_days: int = Field(10, ge=0, le=90, validation_alias="ARAGORA_PAYMENT_GRACE_DAYS")
    dispute_policy: Literal["keep", "suspend"] = Field(
        "keep", validation_alias="ARAGORA_DISPUTE_POLICY"
    )
    livemode: bool = Field(False, validation_alias="ARAGORA_LIVEMODE")
    stripe_secret_key: SecretStr | None = Field(None, validation_alias="STRIPE_SECRET_KEY")
    stripe_publishable_key: str | None = Field(None, validation_alias="STRIPE_PUBLISHABLE_KEY")
    stripe_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), validation_alias="STRIPE_WEBHOOK_SECRET"
    )
    stripe_api_base: str | None = Field(None, validation_alias="STRIPE_API_BASE")
    stripe_portal_configuration: str | None = Field(
        None, validation_alias="STRIPE_PORTAL_CONFIGURATION"
    )
    stripe_price_starter: str | None = Field(None, validation_alias="STRIPE_PRICE_STARTER")
    stripe_price_professional: str | None = Field(
        None, validation_alias="STRIPE_PRICE_PROFESSIONAL"
    )
    stripe_price_enterprise: str | None = Field(None, validation_alias="STRIPE_PRICE_ENTERPRISE")
    stripe_price_enterprise_plus: str | None = Field(
        None, validation_alias="STRIPE_PRICE_ENTERPRISE_PLUS"
    )
    stripe_price_basic: str | None = Field(None, validation_alias="STRIPE_PRICE_BASIC")
    stripe_price_pro: str | None = Field(None, validation_alias="STRIPE_PRICE_PRO")
    stripe_price_starter_yearly: str | None = Field(
        None, validation_alias="STRIPE_PRICE_STARTER_YEARLY"
    )
    stripe_price_professional_yearly: str | None = Field(
        None, validation_alias="STRIPE_PRICE_PROFESSIONAL_YEARLY"
    )
    stripe_price_enterprise_yearly: str | None = Field(
        None, validation_alias="STRIPE_PRICE_ENTERPRISE_YEARLY"
    )
    stripe_price_enterprise_plus_yearly: str | None = Field(
        None, validation_alias="STRIPE_PRICE_ENTERPRISE_PLUS_YEARLY"
    )
    stripe_metered_tokens_input: str | None = Field(
        None, validation_alias="STRIPE_METERED_TOKENS_INPUT"
    )
    stripe_metered_tokens_output: str | None = Field(
        None, validation_alias="STRIPE_METERED_TOKENS_OUTPUT"
    )
    stripe_metered_debates: str | None = Field(None, validation_alias="STRIPE_METERED_DEBATES")

    @field_validator("stripe_webhook_secrets", "cors_origins", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _production_is_safe(self) -> Self:
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else None
        if key is not None and key.startswith(("sk_live_", "rk_live_")) != self.livemode:
            raise ValueError(
                "ARAGORA_LIVEMODE must agree with STRIPE_SECRET_KEY: true for sk_live_ keys only"
            )
        if self.jwt_secret is not None:
            length = len(self.jwt_secret.get_secret_value().encode())
            if length < MINIMUM_SECRET_BYTES and self.env == "production":
                raise ValueError(f"ARAGORA_JWT_SECRET needs {MINIMUM_SECRET_BYTES} bytes or more")
        if self.env == "production":
            missing = [
                name
                for name, value in (
                    ("ARAGORA_JWT_SECRET", self.jwt_secret),
                    ("DATABASE_URL", self.database_url),
                )
                if value is None
            ]
            if missing:
                raise ValueError(f"production needs {' and '.join(missing)}")
            if self.private_endpoints:
                raise ValueError("ARAGORA_PRIVATE_ENDPOINTS is not for production")
        return self

    @model_validator(mode="after")
    def _lago_is_whole(self) -> Self:
        if (self.lago_api_url is None) != (self.lago_api_key is None):
            raise ValueError("LAGO_API_URL and LAGO_API_KEY belong together")
        return self

    @property
    def stripe_configured(self) -> bool:
        return self.stripe_secret_key is not None

    @property
    def inline_worker(self) -> bool:
        """Whether API processes also run the jobs; the default outside production."""
        if self.jobs is None:
            return self.env != "production"
        return self.jobs == "inline-worker"

    @property
    def base_url(self) -> str:
        """Where people reach the service; links in mails start with it."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def stripe_prices(self) -> StripePrices:
        """Stripe's price ids that are set, by `plan` or `plan:year`, and by metered metric."""
        plans = {
            "starter": self.stripe_price_starter,
            "professional": self.stripe_price_professional,
            "enterprise": self.stripe_price_enterprise,
            "enterprise_plus": self.stripe_price_enterprise_plus,
            "basic": self.stripe_price_basic,
            "pro": self.stripe_price_pro,
            "starter:year": self.stripe_price_starter_yearly,
            "professional:year": self.stripe_price_professional_yearly,
            "enterprise:year": self.stripe_price_enterprise_yearly,
            "enterprise_plus:year": self.stripe_price_enterprise_plus_yearly,
        }
        metered = {
            "tokens_input": self.stripe_metered_tokens_input,
            "tokens_output": self.stripe_metered_tokens_output,
            "debates": self.stripe_metered_debates,
        }
        return StripePrices(
            plans={name: price for name, price in plans.items() if price},
            metered={name: price for name, price in metered.items() if price},
        )
