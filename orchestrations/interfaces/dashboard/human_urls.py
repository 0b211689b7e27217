"""The pages of questions to people and nothing else: a URLconf for a site whose visitors are to see no operations.

``path("approvals/", include("orchestrations.interfaces.dashboard.human_urls"))``. The dashboard has the same pages at
the same names, so that a link in a mail is right on both.
"""

from __future__ import annotations

from django.urls import path

from orchestrations.interfaces.dashboard import converters as converters
from orchestrations.interfaces.dashboard.views import approvals, mail_links, overriding, preferences, tasks

app_name = "dashboard"

INSTANCE = "of/<hub:hub>/<instance_id:instance_id>/"

urlpatterns = [
    path("", approvals.approvals, name="approvals"),
    path("rows/", approvals.rows, name="approvals_rows"),
    path("tick/", approvals.tick, name="approvals_tick"),
    path("badge/", approvals.badge, name="approvals_badge"),
    path("theme/", preferences.theme, name="theme"),
    path("together/", approvals.together, name="approvals_together"),
    path("t/<str:token>/", mail_links.approval_link, name="approval_link"),
    path("<int:pk>/", tasks.task, name="task"),
    path("<int:pk>/state/", tasks.state, name="task_state"),
    path("<int:pk>/tick/", tasks.tick, name="task_tick"),
    path("<int:pk>/comment/", tasks.comment, name="task_comment"),
    path("<int:pk>/override/", overriding.override, name="task_override"),
    path("<int:pk>/do/<slug:slug>/", tasks.act, name="task_act"),
    path(INSTANCE, tasks.of_instance, name="questions"),
    path(f"{INSTANCE}<int:wait>/", approvals.of_wait, name="approval"),
]
