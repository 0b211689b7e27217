"""A site of approvals and nothing else: what people need who answer questions and run nothing."""

from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

from durable_admin.views import favicon, healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("", RedirectView.as_view(pattern_name="dashboard:approvals")),
    path("approvals/", include("orchestrations.interfaces.dashboard.human_urls")),
]
