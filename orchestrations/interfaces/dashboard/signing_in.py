"""Signing in on the way: whoever was signed out while typing sends a form, and loses nothing that was typed."""

from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

AGAIN = "sign-in-again"  # the button of the page that asks for user name and password
NOT_KEPT = ("csrfmiddlewaretoken", "username", "password", AGAIN)


def ask_to_sign_in(request: HttpRequest, *, looks_over: bool = False) -> HttpResponse | None:
    """The page that asks for user name and password (401), and holds what was posted; None once they are right.

    The person is signed in then. ``looks_over`` tells them that they will see what they typed before it is sent.
    """
    form = AuthenticationForm(request, data=request.POST if AGAIN in request.POST else None)
    if AGAIN in request.POST and form.is_valid():
        login(request, form.get_user())
        return None
    kept = [(name, value) for name, values in request.POST.lists() if name not in NOT_KEPT for value in values]
    context = {
        "form": form,
        "kept": kept,
        "had_files": bool(request.FILES),
        "again": AGAIN,
        "looks_over": looks_over,
    }
    return render(request, "dashboard/sign_in_again.html", context, status=401)
