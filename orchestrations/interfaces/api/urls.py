"""Where each part of the API answers, below ``/api/``."""

from __future__ import annotations

from django.urls import path, re_path
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from orchestrations.interfaces.api.views import (
    acts,
    approvals,
    batches,
    entities,
    incoming_webhooks,
    instances,
    site,
    stream,
    tasks,
    webhooks,
)
from orchestrations.interfaces.api.views.documentation import Schema, nowhere, root, viewer, with_slash

app_name = "api"

ONE = "instances/<str:instance_id>/"
WEBHOOK = "webhooks/<int:webhook_id>/"
MESSAGE = f"{WEBHOOK}deliveries/<int:delivery_id>/"
INCOMING = "incoming-webhooks/<int:webhook_id>/"

urlpatterns = [
    path("", root, name="root"),
    path("instances/", instances.Instances.as_view(), name="instances"),
    path("instance-counts/", instances.InstanceCounts.as_view(), name="instance_counts"),
    path(ONE, instances.InstanceView.as_view(), name="instance"),
    path(f"{ONE}history/", instances.History.as_view(), name="history"),
    path(f"{ONE}stream/", stream.InstanceStream.as_view(), name="instance_stream"),
    path(f"{ONE}waits/", instances.InstanceWaits.as_view(), name="instance_waits"),
    path(f"{ONE}events/<str:event_name>/", instances.RaiseEvent.as_view(), name="raise_event"),
    path(f"{ONE}terminate/", acts.Terminate.as_view(), name="terminate"),
    path(f"{ONE}suspend/", acts.Suspend.as_view(), name="suspend"),
    path(f"{ONE}resume/", acts.Resume.as_view(), name="resume"),
    path(f"{ONE}rewind/", acts.Rewind.as_view(), name="rewind"),
    path(f"{ONE}restart/", acts.Restart.as_view(), name="restart"),
    path(f"{ONE}fork/", acts.Fork.as_view(), name="fork"),
    path(f"{ONE}tasks/<int:task_id>/retry/", tasks.RetryTask.as_view(), name="retry_task"),
    path(f"{ONE}tasks/<int:task_id>/skip/", tasks.SkipTimer.as_view(), name="skip_timer"),
    path(f"{ONE}tasks/<int:task_id>/complete/", tasks.CompleteTask.as_view(), name="complete_task"),
    path(f"{ONE}tags/", batches.Tags.as_view(), name="instance_tags"),
    path("batches/", batches.Batches.as_view(), name="batches"),
    path("batches/<int:batch_id>/", batches.Batch.as_view(), name="batch"),
    path("batches/<int:batch_id>/problems/", batches.BatchProblems.as_view(), name="batch_problems"),
    path("batches/<int:batch_id>/stop/", batches.StopBatch.as_view(), name="stop_batch"),
    path("waits/", approvals.Waits.as_view(), name="waits"),
    path("approvals/", approvals.Approvals.as_view(), name="approvals"),
    path("approvals/<int:task_id>/", approvals.Approval.as_view(), name="approval"),
    path("approvals/<int:task_id>/override/", approvals.Override.as_view(), name="override_approval"),
    path("approvals/<int:task_id>/delegate/", approvals.Delegate.as_view(), name="delegate_approval"),
    path("approvals/<int:task_id>/comments/", approvals.Comments.as_view(), name="comment_approval"),
    path("approvals/<int:task_id>/<str:act>/", approvals.Act.as_view(), name="act_on_approval"),
    path("entities/", entities.Entities.as_view(), name="entities"),
    path("entities/<str:name>/<str:key>/", entities.EntityView.as_view(), name="entity"),
    path("webhooks/", webhooks.Webhooks.as_view(), name="webhooks"),
    path(WEBHOOK, webhooks.Webhook.as_view(), name="webhook"),
    path(f"{WEBHOOK}rotate-secret/", webhooks.RotateSecret.as_view(), name="rotate_webhook_secret"),
    path(f"{WEBHOOK}deliveries/", webhooks.Deliveries.as_view(), name="deliveries"),
    path(MESSAGE, webhooks.Delivery.as_view(), name="delivery"),
    path(f"{MESSAGE}resend/", webhooks.Resend.as_view(), name="resend_delivery"),
    path("incoming-webhooks/", incoming_webhooks.IncomingWebhooks.as_view(), name="incoming_webhooks"),
    path(INCOMING, incoming_webhooks.IncomingWebhookView.as_view(), name="incoming_webhook"),
    path(f"{INCOMING}rotate-secret/", incoming_webhooks.RotateIncomingSecret.as_view(), name="rotate_incoming_secret"),
    path("functions/", site.Functions.as_view(), name="functions"),
    path("workers/", site.Workers.as_view(), name="workers"),
    path("audit/", site.Audit.as_view(), name="audit"),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", viewer(SpectacularSwaggerView.as_view(url_name="api:schema", permission_classes=[])), name="docs"),
    path("redoc/", viewer(SpectacularRedocView.as_view(url_name="api:schema", permission_classes=[])), name="redoc"),
    re_path(r"[\s\S]*[^/]\Z", with_slash, name="with_slash"),
    re_path(r"[\s\S]*/\Z", nowhere, name="nowhere"),  # "." would let a newline through to pages for people
]
