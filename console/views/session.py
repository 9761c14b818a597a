"""Login, logout and language."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language

from console.access import guarded, operator_actor

MAX_FAILURES = 10
FAILURES_COUNT_FOR_S = 15 * 60


class OperatorLoginForm(AuthenticationForm):
    """E-mail and password of a person of the operator; slows down who guesses."""

    username = forms.EmailField(
        label=_("E-mail address"),
        widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username"}),
    )

    def clean(self) -> dict[str, Any]:
        email = str(self.cleaned_data.get("username", "")).strip().lower()
        failures = f"console-login:{email}"
        if cache.get(failures, 0) >= MAX_FAILURES:
            raise ValidationError(_("Too many attempts. Try again in a quarter of an hour."))
        self.cleaned_data["username"] = email
        try:
            cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        except ValidationError:
            cache.add(failures, 0, FAILURES_COUNT_FOR_S)
            cache.incr(failures)
            raise
        cache.delete(failures)
        return cleaned

    def confirm_login_allowed(self, user: Any) -> None:
        """Only who holds an operator role; others have their own ways in (the API)."""
        super().confirm_login_allowed(user)
        if not operator_actor(user).operator_roles:
            raise ValidationError(
                _("This account holds no operator role: the console is for operator staff.")
            )


class Login(LoginView):
    """The way in. The first page is in the language that the person chose once."""

    template_name = "console/login.html"
    authentication_form = OperatorLoginForm
    redirect_authenticated_user = False

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return guarded(super().dispatch(request, *args, **kwargs))

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        if settings.LANGUAGE_COOKIE_NAME not in self.request.COOKIES:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME, form.get_user().language, samesite="Lax"
            )
        return response


class Logout(LogoutView):
    """The way out; by POST only."""

    next_page = "console:login"


def language(request: HttpRequest) -> HttpResponseBase:
    """Remember the chosen language and go back to where the person was."""
    return guarded(set_language(request))
