"""Where each interface answers."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path, re_path

from durable_admin.views import favicon, healthz
from orchestrations.interfaces.management_api.rpc_urls import BASE as RPC
from orchestrations.interfaces.management_api.urls import BASE as MANAGEMENT_API

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/", include("orchestrations.interfaces.api.urls")),
    re_path(MANAGEMENT_API, include("orchestrations.interfaces.management_api.urls")),
    re_path(RPC, include("orchestrations.interfaces.management_api.rpc_urls")),
    path("webhooks/", include("orchestrations.interfaces.webhooks.urls")),
    path("", include("orchestrations.interfaces.dashboard.urls")),
]
