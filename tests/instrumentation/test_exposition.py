"""The scrape endpoint: where it is, what it says, and to whom it leaves the path."""

from __future__ import annotations

import gc
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from flask_caching.backends.simplecache import SimpleCache
from flask_caching.observer import Collision, Load, Target, Wait
from flask_caching_instrumentation import metrics_blueprint

INDEX = Target("view", "index")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def observer(make):
    """An instrumentation with its endpoint, and some of everything counted."""
    observer = make(CACHE_METRICS_PATH="/metrics")
    observer.backend = observer.wrap(SimpleCache())
    observer.backend.set("a", 1)
    observer.bypassed(INDEX, "unless")
    observer.failed("get", TimeoutError(), True)
    observer.stored(INDEX, "refused", 'a "quoted"\nreason\\')
    with Load(observer, INDEX, "index"), Wait(observer, INDEX):
        pass
    return observer


@pytest.fixture
def page(app, observer, look_up):
    look_up(observer, INDEX, outcome="hit", collision=Collision("k", "host", "refused", 1, 2))
    return app.test_client().get("/metrics")


def hits(text: str) -> float:
    return sum(
        sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name.endswith("lookups_total") and sample.labels["result"] == "hit"
    )


def test_it_is_the_text_format_and_is_not_stored_by_anyone(page):
    """A scraper that asks for nothing gets the classic format."""
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert page.headers["Cache-Control"] == "no-store"
    families = {family.name: family for family in parse_text(page.get_data(as_text=True))}
    assert families["flask_caching_lookups"].type == "counter"
    assert families["flask_caching_operation_duration_seconds"].type == "histogram"
    assert families["flask_caching_entries"].samples[0].value == 1
    assert hits(page.get_data(as_text=True)) == 1


def test_it_is_openmetrics_for_who_prefers_that(app, page):
    """Negotiated by the Accept header, and valid to the strict parser."""
    answer = app.test_client().get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in parse_openmetrics(answer.get_data(as_text=True))}
    assert families["flask_caching_lookups"].type == "counter"


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_nothing_to_say(page):
    """Names, help texts and types follow the conventions that Prometheus checks."""
    check = subprocess.run(
        ["promtool", "check", "metrics"], input=page.data, capture_output=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_buckets_are_cumulative_and_end_with_the_count(page):
    """As the histogram type demands."""
    samples = [
        sample
        for family in parse_text(page.get_data(as_text=True))
        if family.name == "flask_caching_operation_duration_seconds"
        for sample in family.samples
        if sample.labels["operation"] == "set"
    ]
    buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
    assert len(buckets) == 18
    assert buckets == sorted(buckets)
    assert buckets[-1] == 1
    assert [sample.value for sample in samples if sample.name.endswith("_count")] == [1]


def test_names_select_families(app, page):
    """``name[]`` gives only the samples that are named."""
    answer = app.test_client().get(
        "/metrics?name[]=flask_caching_entries&name[]=flask_caching_lookups_total"
    )
    assert {family.name for family in parse_text(answer.get_data(as_text=True))} == {
        "flask_caching_entries",
        "flask_caching_lookups",
    }


def test_a_scrape_counts_nothing(app, page):
    """Two scrapes in a row are equal."""
    assert app.test_client().get("/metrics").data == page.data


def test_nothing_is_mounted_unless_asked(app, make):
    """Without CACHE_METRICS_PATH there is no such page."""
    make().wrap(SimpleCache())
    assert app.test_client().get("/metrics").status_code == 404


def test_two_caches_share_one_endpoint(app, make, look_up):
    """The same path asked for twice is mounted once, and shows both."""
    observers = [make(CACHE_NAME=name, CACHE_METRICS_PATH="/metrics") for name in ("a", "b")]
    for observer in observers:
        observer.wrap(SimpleCache())
        look_up(observer, INDEX, outcome="hit")
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule == "/metrics"]
    assert len(rules) == 1
    assert hits(app.test_client().get("/metrics").get_data(as_text=True)) == 2


def test_two_paths_and_two_registries_are_two_endpoints(app, make, look_up):
    """Each path shows its own registry."""
    observers = []
    for path, count in (("/one", 1), ("/two", 2)):
        observer = make(CACHE_METRICS_PATH=path, CACHE_METRICS_REGISTRY=CollectorRegistry())
        observer.wrap(SimpleCache())
        look_up(observer, INDEX, counts={"hit": count})
        observers.append(observer)
    client = app.test_client()
    assert [hits(client.get(path).get_data(as_text=True)) for path in ("/one", "/two")] == [1, 2]


def test_two_registries_cannot_share_a_path(app, make):
    """The second cache is told that the path shows another registry."""
    make(CACHE_METRICS_PATH="/metrics")
    with pytest.warns(UserWarning, match="'/metrics' belongs to the endpoint"):
        make(CACHE_METRICS_PATH="/metrics", CACHE_METRICS_REGISTRY=CollectorRegistry())


def test_a_path_of_the_application_s_own_is_left_alone(app, make):
    """It warns, names the endpoint, and the application's page stays."""
    app.add_url_rule("/metrics", endpoint="own", view_func=lambda: "mine")
    with pytest.warns(UserWarning, match="belongs to the endpoint 'own'"):
        make(CACHE_METRICS_PATH="/metrics")
    assert app.test_client().get("/metrics").get_data(as_text=True) == "mine"


def test_too_late_for_a_route_is_a_warning(app, make):
    """An application that serves already goes on without the endpoint."""
    app.debug = True  # Flask before 2.3 minds only then.
    app.test_client().get("/")
    with pytest.warns(UserWarning, match="handled its first request already"):
        make(CACHE_METRICS_PATH="/metrics")


def test_the_blueprint_shows_the_application_s_registry(app, make, look_up):
    """Mounted anywhere, below a prefix, on several applications."""
    other = Flask("other")
    observers = [make(), make(app=other, CACHE_METRICS_REGISTRY=CollectorRegistry())]
    blueprint = metrics_blueprint(path="/scrape")
    for each, observer, count in zip((app, other), observers, (1, 2), strict=True):
        observer.wrap(SimpleCache())
        look_up(observer, INDEX, counts={"hit": count})
        each.register_blueprint(blueprint, url_prefix="/admin")
        assert hits(each.test_client().get("/admin/scrape").get_data(as_text=True)) == count


def test_the_blueprint_shows_the_registry_of_a_cache(app, make, look_up):
    """With two caches in two registries, the one that is asked for."""
    first = make()
    second = make(CACHE_METRICS_REGISTRY=CollectorRegistry())
    backends = [each.wrap(SimpleCache()) for each in (first, second)]
    look_up(second, INDEX, counts={"hit": 5})
    cache = SimpleNamespace(cache=backends[1])
    app.register_blueprint(metrics_blueprint(cache))
    assert hits(app.test_client().get("/metrics").get_data(as_text=True)) == 5


def test_the_blueprint_shows_the_registry_it_is_given(app, make):
    """Whatever the caches use."""
    make().wrap(SimpleCache())
    own = CollectorRegistry()
    Counter("somebody_else", "Theirs.", registry=own).inc()
    app.register_blueprint(metrics_blueprint(registry=own))
    assert "somebody_else_total 1.0" in app.test_client().get("/metrics").get_data(as_text=True)


def test_a_cache_set_up_anew_is_found(app, make, look_up):
    """The endpoint does not go on showing what the first set-up counted in."""
    first = make()
    app.register_blueprint(metrics_blueprint())
    del first
    gc.collect()
    second = make(CACHE_METRICS_REGISTRY=CollectorRegistry())
    second.wrap(SimpleCache())
    look_up(second, INDEX, counts={"hit": 6})
    assert hits(app.test_client().get("/metrics").get_data(as_text=True)) == 6
