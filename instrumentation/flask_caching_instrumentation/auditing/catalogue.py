"""Every rule of the audit: what it is called, what it means, and what to do about it.

Reports, SARIF and the manual read this. A rule's id is stable: people write it into ``--ignore``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .model import Level

__all__ = ["RULES", "Rule", "rule"]


class Rule(NamedTuple):
    """One kind of finding.

    Attributes:
        id: Stable, in words with hyphens.
        level: Whether it fails a build.
        title: What it is, in a few words.
        explanation: What goes wrong, and why.
        advice: What to write instead. Names in braces are filled in for a finding.
    """

    id: str
    level: Level
    title: str
    explanation: str
    advice: str


_CATALOGUE: Final = (
    # Arguments of the route.
    Rule(
        "constant-key",
        "error",
        "A constant key on a route with arguments",
        "key_prefix has no %s, so that every URL of the route has one key: all visitors get the "
        "page of whoever came first.",
        'key_prefix="{prefix}/%s"  # %s stands for the request path',
    ),
    Rule(
        "forgotten-argument",
        "error",
        "The key does not depend on an argument",
        "The key is the same for every value of an argument of the route, so that all of them get "
        "the page of the first.",
        "put {argument} into the key: return repr(({arguments}))",
    ),
    Rule(
        "case-folded",
        "error",
        "The key takes different letters for the same",
        "The key is made of an argument after its case (and perhaps more) was taken away, while "
        "the view gets it as it is. If they mean the same page, let a converter say so.",
        "make the key of {argument} as it is, or let the route's converter lower it for both",
    ),
    Rule(
        "truncated",
        "error",
        "The key keeps only a part of an argument",
        "Values that begin, or end, alike have one key. If the key was too long, hash it.",
        "hashlib.sha256({argument}.encode()).hexdigest() is short and keeps all of it",
    ),
    Rule(
        "rounded",
        "error",
        "The key is made of a rounded number",
        "Numbers that differ after the point have one key, while the view gets them as they are.",
        "make the key of {argument} as it is, or round it before the view sees it",
    ),
    Rule(
        "bucketed",
        "error",
        "The key is the same for a range of numbers",
        "Numbers of one range have one key, while the view gets them as they are.",
        "make the key of {argument} as it is, or round it before the view sees it",
    ),
    Rule(
        "collapsed-argument",
        "error",
        "The key is the same for different values of an argument",
        "Two values of an argument lead to one key, so that one gets the other's page.",
        "make the key of {argument} as it is: return repr(({arguments}))",
    ),
    Rule(
        "concatenated",
        "error",
        "The key joins its arguments without telling where one ends",
        "Joined texts are ambiguous: a-b and c is a and b-c. Another combination of arguments gets "
        "this one's page.",
        "return repr(({arguments}))  # or json.dumps([{arguments}]): unlike a join, unambiguous",
    ),
    Rule(
        "shared-key",
        "error",
        "Two endpoints, or two functions, with one key",
        "Whoever comes first fills the entry for both, so that one shows what the other made.",
        "say in each key whose it is: key_prefix={own!r}, or return repr(({own!r}, ...))",
    ),
    # Inputs that are not arguments.
    Rule(
        "read-input",
        "error",
        "An input that is read does not change the key",
        "The function was seen to read an input of the request that its key does not depend on, so "
        "that a request gets what was made for another value.",
        "{remedy}",
    ),
    Rule(
        "above-auth",
        "error",
        "The cache is above an auth check",
        "A check below the cache runs only when nothing is stored yet. Afterwards everyone gets "
        "the stored page, whoever they are.",
        "put the check above @cache.cached(), next to @app.route(); if the page depends on who "
        "asks, also vary=[lambda: current_user.get_id()]",
    ),
    Rule(
        "above-route",
        "error",
        "The cache is above the route",
        "The route was registered with the function as it was before it was cached, so that the "
        "view is never cached.",
        "@app.route(...)\n@cache.cached()\ndef {name}(...): ...",
    ),
    Rule(
        "address-identity",
        "error",
        "An identity that is only an address",
        "An object that says nothing of itself is told from others by where it is in memory: "
        "another process, or the next object of the same content, never finds what was stored.",
        "def __caching_id__(self): return self.id  # in class {owner}; or "
        "args_to_ignore=[{argument!r}]",
    ),
    Rule(
        "shared-closure",
        "error",
        "Two closures with one key",
        "Functions made by one factory have one name and one code. What tells them apart is a "
        "variable that can change, or has no identity, so it is not part of their keys.",
        "hand {variables} over as an argument, or make_name=lambda name: "
        "f'{{name}}.{{{variable}}}'",
    ),
    # Information.
    Rule(
        "not-in-key",
        "information",
        "Inputs that the key does not depend on",
        "That is right as long as the function uses none of them.",
        "nothing, if the function uses none of them; else query_string=True, vary=[...]",
    ),
    Rule(
        "helper-argument",
        "information",
        "A cached helper's key does not depend on its arguments",
        "@cached keeps one value under key_prefix whatever a helper is called with.",
        "@cache.memoize() makes the key of the arguments",
    ),
    Rule(
        "aliased-view",
        "information",
        "One view under two endpoints with one key",
        "The same function with the same arguments: both endpoints show one page, which is right "
        "unless it shows its own URL.",
        "nothing, if the page is the same for both",
    ),
    Rule(
        "repr-identity",
        "information",
        "An identity that is only a repr",
        "Objects of the class are told apart by their repr() alone: two that print the same are "
        "one.",
        "def __caching_id__(self): return self.id  # in class {owner}",
    ),
    Rule(
        "same-name",
        "information",
        "Two memoized functions with one name",
        "Their keys differ, but they are counted as one, and forgetting one forgets both.",
        "give them names of their own: function.__qualname__ = ...  # before memoize sees it",
    ),
    Rule(
        "merged-name",
        "information",
        "make_name gives two functions one name",
        "Their keys differ by their code. Keys and reports call both the same.",
        "make_name=lambda name: ...  # keep {name!r} in what it returns",
    ),
    Rule(
        "key-maker-raised",
        "information",
        "A key maker raised on a made-up request",
        "unless=, or what makes the key, raised. In the running application before_request "
        "functions may have prepared what it needs; they are not run here.",
        "make keys of the request and the arguments alone",
    ),
    Rule(
        "unstable-key",
        "information",
        "The key of one request changes from moment to moment",
        "The same request has another key each time, so that nothing that is stored is ever found.",
        "leave the time, random numbers and counters out of the key",
    ),
    Rule(
        "stores-cookies",
        "information",
        "Cookies are stored with the page",
        "store_cookies=True sends one visitor's Set-Cookie to all others.",
        "leave store_cookies out, unless the cookie is the same for everyone",
    ),
)

#: The rules by their ids.
RULES: Final = {rule.id: rule for rule in _CATALOGUE}


def rule(rule_id: str) -> Rule:
    """The rule with an id."""
    return RULES[rule_id]
