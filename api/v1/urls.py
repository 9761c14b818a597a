"""Version 1, by room."""

from importlib.util import find_spec

from django.urls import include, path

_ROOMS = ("accounts", "capacity", "market", "scheduling", "billing")

urlpatterns = [
    path("", include(f"api.v1.{room}.urls"))
    for room in _ROOMS
    if find_spec(f"api.v1.{room}") and find_spec(f"api.v1.{room}.urls")
]
