"""A blog in one module: cached pages, a search, a feed, a sidebar, keys deleted by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import (
    Flask,
    Response,
    abort,
    make_response,
    redirect,
    render_template_string,
    request,
    session,
    url_for,
)

from flask_caching import Cache, CachedResponse, make_template_fragment_key

cache = Cache()

PAGE = """
{%- cache 300, "sidebar", language %}<nav>{{ tags()|join(",") }}</nav>{% endcache -%}
<main>{{ body }}</main>
"""


@dataclass
class Database:
    """Posts in memory, and a note of every query."""

    posts: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)

    def query(self, name: str) -> dict[str, str]:
        self.queries.append(name)
        return self.posts


def logged_in() -> bool:
    return "user" in session


def create_app(database: Database, **config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="blog",
        TESTING=True,
        CACHE_TYPE="SimpleCache",
        CACHE_DEFAULT_TIMEOUT=600,
        CACHE_KEY_PREFIX="blog_",
    )
    app.config.update(config)
    cache.init_app(app)

    @cache.cached(timeout=3600, key_prefix="all_tags")
    def all_tags() -> list[str]:
        return sorted({slug.split("-")[0] for slug in database.query("tags")})

    @cache.memoize(timeout=3600)
    def excerpt(slug: str, length: int = 5) -> str | None:
        text = database.query("excerpt").get(slug)
        return text and text[:length]

    def page(body: str) -> str:
        language = request.accept_languages.best_match(["en", "de"]) or "en"
        return render_template_string(PAGE, tags=all_tags, language=language, body=body)

    @app.route("/")
    @cache.cached(timeout=60, unless=logged_in)
    def index() -> str:
        return page(" ".join(f"{slug}:{excerpt(slug)}" for slug in database.query("index")))

    @app.route("/post/<slug>")
    @cache.cached()
    def post(slug: str) -> str:
        posts = database.query(f"post {slug}")
        if slug not in posts:
            abort(404)
        return page(posts[slug])

    @app.route("/search")
    @cache.cached(timeout=60, query_string=True)
    def search() -> str:
        posts = database.query("search")
        words = request.args.getlist("q")
        return " ".join(slug for slug, text in posts.items() if all(w in text for w in words))

    @app.route("/feed.xml")
    @cache.cached(timeout=60, key_prefix=lambda: f"feed/{request.args.get('format', 'rss')}")
    def feed() -> Response:
        response = make_response(f"<{request.args.get('format', 'rss')}/>")
        response.headers["Content-Type"] = "application/xml"
        database.query("feed")
        return CachedResponse(response, timeout=10)

    @app.route("/random")
    @cache.cached(timeout=60, response_filter=lambda text: "empty" not in text)
    def random_post() -> str:
        posts = database.query("random")
        return next(iter(posts.values()), "empty")

    @app.route("/login/<name>", methods=["POST"])
    def login(name: str) -> str:
        session["user"] = name
        return "hello"

    @app.route("/admin/<slug>", methods=["POST"])
    def publish(slug: str) -> object:
        database.posts[slug] = request.get_data(as_text=True)
        # By hand, as the documentation of a decade shows it.
        cache.delete("view//")
        cache.delete("view/" + url_for("post", slug=slug))
        cache.delete("all_tags")
        cache.delete_many(*(make_template_fragment_key("sidebar", [tag]) for tag in ("en", "de")))
        cache.delete_memoized(excerpt, slug)
        return redirect(url_for("post", slug=slug))

    app.extensions["blog"] = {"excerpt": excerpt, "search": search, "all_tags": all_tags}
    return app
