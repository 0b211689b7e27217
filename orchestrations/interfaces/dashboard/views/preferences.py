"""What readers choose for themselves: time zone, theme, density, columns, shortcuts."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import signed_in
from orchestrations.interfaces.dashboard.columns import ALWAYS, COLUMNS, chosen
from orchestrations.interfaces.dashboard.preference_forms import PreferencesForm, arranged
from orchestrations.interfaces.dashboard.reader import forget_reader, preferences_of
from orchestrations.models import Preferences

THEMES = tuple(Preferences.Theme.values)
KEPT_SECONDS = 365 * 24 * 3600


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """Show the choices, or keep them: they follow the person to every browser."""
    mine = preferences_of(request.user)
    form = PreferencesForm(request.POST or None, instance=mine)
    if request.method == "POST" and form.is_valid():
        form.save()
        forget_reader(request)
        messages.success(request, "Your preferences are saved.")
        response = redirect("dashboard:preferences")
        _remember_theme(request, response, form.cleaned_data["theme"])
        return response
    columns = chosen(mine.columns)
    context = {
        "section": "preferences",
        "hub": get_config().task_hub,
        "form": form,
        "columns": columns,
        "others": [column for column in COLUMNS.values() if column not in columns],
        "always": ALWAYS,
    }
    return render(request, "dashboard/preferences/page.html", context, status=422 if form.errors else 200)


@signed_in
@require_POST
def columns(request: HttpRequest) -> HttpResponse:
    """Show a column, hide it, or move it one place; without any of these, go back to the usual ones."""
    mine = preferences_of(request.user)
    act, _, key = request.POST.get("do", "").partition(":")
    mine.columns = arranged([column.key for column in chosen(mine.columns)], act, key)
    mine.save()
    forget_reader(request)
    return HttpResponseRedirect(f"{reverse('dashboard:preferences')}#columns")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light, dark or the system's theme in this browser, and go back to the page."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("dashboard:home")
    response = HttpResponseRedirect(target)
    _remember_theme(request, response, request.POST.get("theme", ""))
    return response


def _remember_theme(request: HttpRequest, response: HttpResponse, chosen_theme: str) -> None:
    if chosen_theme in THEMES:
        response.set_cookie(
            "theme", chosen_theme, max_age=KEPT_SECONDS, samesite="Lax", httponly=True, secure=request.is_secure()
        )
