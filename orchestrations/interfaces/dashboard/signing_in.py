"""Signing in on the way: whoever was signed out while typing sends a form, and loses nothing that was typed.

Where people sign in is settled by LOGIN_URL, which may be a page of another site.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import Resolver404, resolve

AGAIN = "sign-in-again"  # the button of the page that asks for user name and password
NOT_KEPT = ("csrfmiddlewaretoken", "username", "password", AGAIN)


def to_sign_in(request: HttpRequest, back: str = "") -> HttpResponseRedirect:
    """Send somebody to LOGIN_URL, and from there to ``back``, else to the address that they asked for.

    Another site is told the whole of that address.
    """
    back = back or request.get_full_path()
    place = urlsplit(resolve_url(settings.LOGIN_URL))
    is_elsewhere = bool(place.netloc) and place.netloc != request.get_host()
    return redirect_to_login(request.build_absolute_uri(back) if is_elsewhere else back)


def asks_for_a_password() -> bool:
    """Whether LOGIN_URL is a page of this site that takes a user name and a password."""
    place = urlsplit(resolve_url(settings.LOGIN_URL))
    if place.netloc:
        return False
    try:
        view = resolve(place.path).func
    except Resolver404:
        return False
    return issubclass(getattr(view, "view_class", object), LoginView)


def ask_to_sign_in(request: HttpRequest, *, looks_over: bool = False) -> HttpResponse | None:
    """The page that holds what was posted while somebody signs in (401); None once they are.

    It asks for user name and password, and signs in with them; where LOGIN_URL is another kind of page, it leads there
    in a window beside. ``looks_over`` tells them that they will see what they typed before it is sent.
    """
    is_again = AGAIN in request.POST
    has_password = asks_for_a_password()
    if is_again and not has_password and request.user.is_authenticated:
        return None
    form = AuthenticationForm(request, data=request.POST if is_again and has_password else None)
    if form.is_bound and form.is_valid():
        login(request, form.get_user())
        return None
    kept = [(name, value) for name, values in request.POST.lists() if name not in NOT_KEPT for value in values]
    context = {
        "form": form if has_password else None,
        "is_again": is_again,
        "kept": kept,
        "had_files": bool(request.FILES),
        "again": AGAIN,
        "looks_over": looks_over,
    }
    return render(request, "dashboard/sign_in_again.html", context, status=401)
