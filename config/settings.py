"""Settings of the exchange. Everything that differs between machines comes from the environment.

``DATABASE_URL`` and ``REDIS_URL`` name the servers; ``SECRET_KEY`` and ``FIELD_ENCRYPTION_KEYS``
are secrets and have no default. ``exchangectl`` (``make run``, ``make demo``) sets all of them for
the embedded servers.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from psycopg.conninfo import conninfo_to_dict

from config import wiring

BASE_DIR = Path(__file__).resolve().parent.parent


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set; see docs/operations/environment.md")
    return value


def _database(url: str) -> dict[str, object]:
    parts = conninfo_to_dict(url)
    threads = int(os.environ.get("WEB_THREADS", "4"))
    pool = {"min_size": 1, "max_size": threads + 2, "timeout": 10}
    if os.environ.get("DATABASE_POOL") == "0":
        pool = {}  # for one short command a pool is only a thread more
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname"),
        "USER": parts.get("user"),
        "PASSWORD": parts.get("password"),
        "HOST": parts.get("host"),
        "PORT": parts.get("port"),
        "ATOMIC_REQUESTS": False,
        # A pool gives no connection out that a restarted server has dropped.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": pool,
            "options": "-c lock_timeout=10s -c jit=off -c timezone=UTC",
            # A statement that comes again is parsed and planned once a connection: of most of them
            # that is half the work.
            "server_side_binding": True,
            "prepare_threshold": 5,
        },
    }


SECRET_KEY = _required("SECRET_KEY")
# Fernet keys, the newest first: "<id>:<key>,<id>:<key>". The id stands beside each ciphertext.
FIELD_ENCRYPTION_KEYS = _required("FIELD_ENCRYPTION_KEYS")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("CSRF_TRUSTED_ORIGINS", "").split(",") if o]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "core",
    "accounts",
    "ledger",
    "exchange",
    "billing",
    "api",
    "console",
]

if find_spec("django_linear_migrations"):  # a tool of development; the image does not carry it
    INSTALLED_APPS.append("django_linear_migrations")

if find_spec("demo"):  # brings `manage.py replay`; the image does not carry it
    INSTALLED_APPS.append("demo")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.request_log.RequestLogMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": _database(_required("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
# E-mail addresses are unique by their lower case, which this check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.E003"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

REDIS_URL = _required("REDIS_URL")
# Stands before every key, so that several environments can share one server.
REDIS_PREFIX = os.environ.get("REDIS_PREFIX", "exchange")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
        # An absent server is noticed soon: nothing in it is needed for a right answer.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
# The operator's day: settlement periods and the console's dates.
OPERATOR_TIME_ZONE = os.environ.get("OPERATOR_TIME_ZONE", "Asia/Shanghai")

STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ.get("STATIC_ROOT", BASE_DIR / "var" / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
LOGIN_URL = "/console/login/"
LOGIN_REDIRECT_URL = "/console/"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
if os.environ.get("HTTPS", "") == "1":
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# The body of one request; capacity files and usage batches are the largest.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# Which task answers which wake-up (core.wakeups).
WAKE_UPS = wiring.WAKE_UPS

# --- The log: one JSON object a line, on standard output ----------------------------------------
LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO")
_LOG_STEPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
structlog.configure(
    processors=[*_LOG_STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            "foreign_pre_chain": _LOG_STEPS,
        }
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "stream": "ext://sys.stdout",
        }
    },
    "root": {"handlers": ["stdout"], "level": LOG_LEVEL},
    "loggers": {
        # config.request_log has a line for each request already; only crashes add theirs.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Each task that is received and done, twice a second and more, says nothing.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}

# --- The admin's look (reference data; everything else is in the console) -------------------------
UNFOLD = {
    "SITE_TITLE": _("Compute exchange"),
    "SITE_HEADER": _("Compute exchange"),
    "SITE_SUBHEADER": _("Reference data"),
    "SITE_SYMBOL": "hub",
    "SITE_URL": reverse_lazy("console:today"),
    "SHOW_LANGUAGES": False,
    "SHOW_HISTORY": True,
    "COLORS": {
        "primary": {
            "50": "oklch(97% .015 235)",
            "100": "oklch(94% .03 235)",
            "200": "oklch(88% .06 235)",
            "300": "oklch(80% .09 235)",
            "400": "oklch(70% .11 236)",
            "500": "oklch(58% .115 238)",
            "600": "oklch(47% .1 240)",
            "700": "oklch(41% .09 241)",
            "800": "oklch(35% .075 242)",
            "900": "oklch(30% .06 243)",
            "950": "oklch(22% .045 244)",
        },
    },
    "SIDEBAR": {"show_search": True, "show_all_applications": False},
}

# --- The API -----------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["api.rendering.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.rendering.FirstRenderer",
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.KeyThrottle"],
    "DEFAULT_PAGINATION_CLASS": "api.paging.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "api.schema.ExchangeSchema",
    "EXCEPTION_HANDLER": "api.problems.render",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
# How many proxies in front of the web server are trusted to name the caller's address.
TRUSTED_PROXIES = int(os.environ.get("TRUSTED_PROXIES", "0"))
RATE_LIMIT_PER_MINUTE = int(os.environ.get("RATE_LIMIT_PER_MINUTE", "6000"))
# Of all keys of one organisation together.
RATE_LIMIT_PER_MINUTE_OF_ORGANISATION = int(
    os.environ.get("RATE_LIMIT_PER_MINUTE_OF_ORGANISATION", str(4 * RATE_LIMIT_PER_MINUTE))
)
# How many live orders an organisation may have, where it has no limit of its own; 0: any.
OPEN_ORDERS_PER_ORGANISATION = int(os.environ.get("OPEN_ORDERS_PER_ORGANISATION", "10000"))
RATE_LIMIT_REGISTRATIONS_PER_HOUR = int(os.environ.get("RATE_LIMIT_REGISTRATIONS_PER_HOUR", "30"))
# How long the events of the streams are kept; the database keeps a week in any case.
OUTBOX_KEEP_DAYS = max(7, int(os.environ.get("OUTBOX_KEEP_DAYS", "30")))
# Event streams hold a thread of the web server each: how long, and how many in one process.
STREAM_SECONDS = int(os.environ.get("STREAM_SECONDS", "25"))
STREAMS_PER_PROCESS = int(os.environ.get("STREAMS_PER_PROCESS", "1"))

SPECTACULAR_SETTINGS = {
    "TITLE": "Compute exchange",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "OrderStateEnum": "exchange.market.models.OrderState",
        "TradingStateEnum": "api.v1.market.orderly_serializers.HALT_STATES",
        "OfferStateEnum": "exchange.market.models.OfferState",
        "AuctionStateEnum": "exchange.market.day_ahead.models.AuctionState",
        "AuctionLineKindEnum": "exchange.market.day_ahead.models.LineKind",
        "AuctionEntryStateEnum": "exchange.market.day_ahead.models.EntryState",
        "PoolStateEnum": "exchange.capacity.models.PoolState",
        "LeaseStateEnum": "exchange.scheduling.models.LeaseState",
        "PeriodStateEnum": "billing.periods.models.PeriodState",
        "BatchStateEnum": "billing.settlement.models.BatchState",
        "PayoutStateEnum": "billing.settlement.models.PayoutState",
        "PublicKindsEnum": "api.v1.accounts.serializers.PUBLIC_KIND_CHOICES",
        "OrganisationKindsEnum": "api.v1.accounts.serializers.KIND_CHOICES",
    },
    "SORT_OPERATIONS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.schema.finish",
    ],
}

# After how long without a heartbeat a centre counts as unreachable, in the exchange's own time.
CENTRE_SILENCE_SECONDS = int(os.environ.get("CENTRE_SILENCE_SECONDS", "180"))
