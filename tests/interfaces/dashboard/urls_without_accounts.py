"""A site on which people sign in somewhere else: it has no pages to sign in and out."""

from django.urls import include, path

urlpatterns = [path("", include("orchestrations.interfaces.dashboard.urls"))]
