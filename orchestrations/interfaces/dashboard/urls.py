"""Where each page of the dashboard answers. The task hub is part of the address, so that a link keeps its meaning."""

from __future__ import annotations

from django.urls import URLPattern, include, path

from orchestrations.interfaces.dashboard import human_urls
from orchestrations.interfaces.dashboard.views import (
    acts,
    audit,
    boards,
    bulk,
    dead_letters,
    downloads,
    entities,
    events,
    exports,
    hubs,
    instance,
    instances,
    preferences,
    saved_views,
    start,
)

app_name = "dashboard"

ONE = "hubs/<hub:hub>/i/<instance_id:instance_id>/"


def board(route: str, name: str, views: boards.BoardViews) -> list[URLPattern]:
    """Where the page of a board, its regions and its tick answer."""
    return [
        path(route, views.page, name=name),
        path(f"{route}{name}-tick/", views.tick, name=f"{name}_tick"),
        path(f"{route}{name}-regions/<slug:region>/", views.region, name=f"{name}_region"),
    ]


urlpatterns = [
    path("", instances.home, name="home"),
    path("theme/", preferences.theme, name="theme"),
    *board("hubs/<hub:hub>/", "overview", boards.overview),
    *board("hubs/<hub:hub>/workers/", "workers", boards.workers),
    path("hubs/<hub:hub>/start/", start.start, name="start"),
    path("hubs/<hub:hub>/start/check/", start.check, name="start_check"),
    path("hubs/<hub:hub>/entities/", entities.index, name="entities"),
    path("hubs/<hub:hub>/entities-clean/", entities.clean, name="entities_clean"),
    path("hubs/<hub:hub>/entities/<str:name>/", entities.one, name="entity"),
    path("hubs/<hub:hub>/entities/<str:name>/<instance_id:key>/", entities.one, name="entity"),
    path("hubs/<hub:hub>/entity-live/<str:name>/", entities.live, name="entity_live"),
    path("hubs/<hub:hub>/entity-live/<str:name>/<instance_id:key>/", entities.live, name="entity_live"),
    path("hubs/<hub:hub>/entity-tick/<str:name>/", entities.tick, name="entity_tick"),
    path("hubs/<hub:hub>/entity-tick/<str:name>/<instance_id:key>/", entities.tick, name="entity_tick"),
    path("hubs/<hub:hub>/signals/<str:name>/", entities.signal, name="entity_signal"),
    path("hubs/<hub:hub>/signals/<str:name>/<instance_id:key>/", entities.signal, name="entity_signal"),
    path("hubs/<hub:hub>/bulk/", bulk.index, name="bulk"),
    path("hubs/<hub:hub>/bulk/live/", bulk.index_live, name="bulk_index_live"),
    path("hubs/<hub:hub>/bulk/tick/", bulk.index_tick, name="bulk_index_tick"),
    path("hubs/<hub:hub>/bulk/new/", bulk.new, name="bulk_new"),
    path("hubs/<hub:hub>/bulk/<int:job_id>/", bulk.one, name="bulk_job"),
    path("hubs/<hub:hub>/bulk/<int:job_id>/live/", bulk.live, name="bulk_live"),
    path("hubs/<hub:hub>/bulk/<int:job_id>/tick/", bulk.tick, name="bulk_tick"),
    path("hubs/<hub:hub>/bulk/<int:job_id>/stop/", bulk.stop, name="bulk_stop"),
    *board("hubs/<hub:hub>/flows/", "flows", boards.flows),
    *board("hubs/<hub:hub>/flows/of/<instance_id:flow>/", "flow", boards.flow),
    *board("hubs/<hub:hub>/retention/", "retention", boards.retention),
    path("hubs/<hub:hub>/dead-letters/", dead_letters.index, name="dead_letters"),
    path("hubs/<hub:hub>/dead-letters/<int:letter_id>/", dead_letters.one, name="dead_letter"),
    path("hubs/", hubs.page, name="hubs"),
    path("hubs-tick/", hubs.tick, name="hubs_tick"),
    path("hub-menu/", hubs.menu, name="hubs_menu"),
    path("hubs/<hub:hub>/audit/", audit.page, name="audit"),
    path("hubs/<hub:hub>/audit/newer/", audit.newer, name="audit_newer"),
    path("hubs/<hub:hub>/audit/tick/", audit.tick, name="audit_tick"),
    path("hubs/<hub:hub>/audit/export.<slug:kind>", audit.export, name="audit_export"),
    path("prefs/", preferences.preferences, name="preferences"),
    path("prefs/columns/", preferences.columns, name="columns"),
    path("hubs/<hub:hub>/instances/", instances.instances, name="instances"),
    path("hubs/<hub:hub>/instances/rows/", instances.rows, name="rows"),
    path("hubs/<hub:hub>/instances/newer/", instances.newer, name="newer"),
    path("hubs/<hub:hub>/instances/tick/", instances.instances_tick, name="instances_tick"),
    path("hubs/<hub:hub>/instances/names/", instances.names, name="names"),
    path("hubs/<hub:hub>/instances/suggest/", instances.suggest, name="suggest"),
    path("hubs/<hub:hub>/instances/export/", exports.choose, name="export"),
    path("hubs/<hub:hub>/instances/export.<slug:kind>", exports.instances, name="instances_export"),
    path("hubs/<hub:hub>/views/", saved_views.page, name="views"),
    path("hubs/<hub:hub>/views/nav/", saved_views.navigation, name="views_nav"),
    path("hubs/<hub:hub>/views/new/", saved_views.new, name="view_new"),
    path("hubs/<hub:hub>/views/<int:pk>/", saved_views.change, name="view_change"),
    path("hubs/<hub:hub>/views/<int:pk>/delete/", saved_views.delete, name="view_delete"),
    path("hubs/<hub:hub>/go/", instances.go, name="go"),
    path(ONE, instance.page, name="instance"),
    path(f"{ONE}live/", instance.live, name="live"),
    path(f"{ONE}tick/", instance.tick, name="tick"),
    path(f"{ONE}answers/", instance.answers, name="answers"),
    path(f"{ONE}node/", instance.node, name="node"),
    path(f"{ONE}e/<int:sequence>/", events.event, name="present_event"),
    path(f"{ONE}e/<int:execution>/<int:sequence>/", events.event, name="event"),
    path(f"{ONE}download/<slug:part>.json", downloads.payload, name="payload"),
    path(f"{ONE}history.json", downloads.history, name="history_json"),
    path(f"{ONE}raw.json", downloads.raw, name="raw_json"),
    path(f"{ONE}timeline.svg", downloads.timeline, name="timeline_svg"),
    path(f"{ONE}do/<slug:slug>/", acts.act, name="act"),
    path(f"{ONE}<slug:tab>/", instance.page, name="instance_tab"),
    path("approvals/", include(human_urls.urlpatterns)),
]
