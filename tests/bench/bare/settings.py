"""The exchange's settings with the opponent's addresses."""

from config.settings import *  # noqa: F403 - the same settings, all of them

ROOT_URLCONF = "tests.bench.bare.urls"
