"""A site with the REST API alone."""

from django.urls import include, path

urlpatterns = [path("api/", include("orchestrations.interfaces.api.urls"))]
