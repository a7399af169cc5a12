"""Our families as text: what ``prometheus_client`` writes, byte for byte, in less time.

Names and label values of a series are the same at each scrape, and to sort, check and escape them
is most of what an encoder does. So the text of a series is kept, with a gap for each number, and
the whole text for as long as no number of it changes. It is learnt from the encoder itself, which
is shown the series at zero: what a version of ``prometheus_client`` escapes, quotes or leaves out
is right here too. Families that are not ours go through the encoder at every scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

from .catalogue import Family, LabelSet, full_name, go_string
from .rows import Row

__all__ = ["Examples", "OwnFamily", "Texts", "bare_metric", "render"]

#: The last exemplar of each bucket of a series, by its upper bound.
Examples: TypeAlias = Mapping[float, Exemplar]

#: Stands above every bound, and for the only number of a counter.
_ABOVE: Final = float("inf")

#: Content types whose texts are kept: a scraper has one, and may write any version into it.
_STYLES: Final = 3

#: From here on Prometheus writes exponents, and Python does not yet.
_EXPONENTS: Final = 1e6


_Encode: TypeAlias = Callable[[Any], bytes]


class _Text(NamedTuple):
    """One series as it was written last.

    Attributes:
        lines: Its lines, ``%s`` for each number.
        tails: What its exemplars are written as, and what of, by the number of the line.
        row: The numbers.
        text: All of it.
    """

    lines: list[str]
    tails: dict[int, tuple[Exemplar, str]]
    row: Row
    text: str


#: The texts of a collector's series, by content type and family; in order of label values.
Texts: TypeAlias = dict[str, dict[str, dict[LabelSet, _Text]]]


class _UnknownForm(Exception):
    """An encoder wrote something else than a line for each sample that ends in its number."""


def bare_metric(namespace: str, described: Family) -> Metric:
    """A family without samples."""
    # A counter's samples end in ``_total``, its name does not.
    name = full_name(namespace, described.name.removesuffix("_total"))
    return Metric(name, described.help, described.kind)


class OwnFamily(Metric):
    """A family with its numbers; the samples are made only if somebody asks for them.

    Args:
        namespace: Prefix of its name.
        described: The family.
        rows: The numbers of its series.
        examples: Exemplars of its series.
        texts: Where the texts of its series are kept.
    """

    def __init__(
        self,
        namespace: str,
        described: Family,
        rows: Mapping[LabelSet, Row],
        examples: Mapping[LabelSet, Examples],
        texts: Texts,
    ) -> None:
        bare = bare_metric(namespace, described)
        super().__init__(bare.name, bare.documentation, bare.type)
        del self.samples
        self._described = described
        self._rows = rows
        self._examples = examples
        self._texts = texts
        self._bounds = (*described.buckets, _ABOVE)

    def __getattr__(self, name: str) -> Any:
        if name != "samples":
            raise AttributeError(name)
        samples: list[Sample] = []
        for labels, row in sorted(self._rows.items()):
            samples += self._samples(labels, row, self._examples.get(labels, {}))
        self.samples = samples
        return samples

    @property
    def is_touched(self) -> bool:
        """Whether somebody has the samples, and may have changed them."""
        return "samples" in vars(self)

    def render(self, writer: _Writer, style: str) -> bytes:
        """What ``writer`` makes of it; ``style`` is the content type of that."""
        try:
            head, texts = self._renew(writer, style)
        except _UnknownForm:
            return writer.write(self)
        return "".join([head, *[each.text for each in texts.values()]]).encode()

    def _renew(self, writer: _Writer, style: str) -> tuple[str, dict[LabelSet, _Text]]:
        """The lines above the series, and the series; both are kept."""
        if style not in self._texts and len(self._texts) >= _STYLES:
            self._texts.clear()
        styled = self._texts.setdefault(style, {})
        known = styled.get(self.name, {})
        rows = self._rows
        metric = Metric(self.name, self.documentation, self.type)
        head = writer.write(metric).decode()
        unknown = [labels for labels in rows if labels not in known]
        learnt = self._learn(writer, head, unknown) if unknown else {}
        order = sorted(rows) if unknown else [labels for labels in known if labels in rows]
        # The plain format has none: there they are not looked at.
        has_examples = "openmetrics" in style
        texts: dict[LabelSet, _Text] = {}
        for labels in order:
            old = known.get(labels) or learnt[labels]
            shown = self._examples.get(labels) if has_examples else None
            if old.row == rows[labels] and not shown and not old.tails:
                texts[labels] = old
            else:
                texts[labels] = self._write(writer, head, old, labels, shown or {})
        # Only what exists now: what is gone is not kept.
        styled[self.name] = texts
        return head, texts

    def _write(
        self, writer: _Writer, head: str, old: _Text, labels: LabelSet, examples: Examples
    ) -> _Text:
        """A series with its numbers and exemplars of now."""
        row = self._rows[labels]
        tails: dict[int, tuple[Exemplar, str]] = {}
        for bound, exemplar in examples.items():
            line = self._bounds.index(bound)
            tail = old.tails.get(line)
            if tail is None or tail[0] is not exemplar:
                tail = exemplar, self._learn_tail(writer, head, labels, line, exemplar)
            tails[line] = tail
        if old.row == row and old.tails == tails:
            return old
        lines = old.lines
        if tails:
            lines = [
                line + tails[number][1] if number in tails else line
                for number, line in enumerate(lines)
            ]
        text = "".join([f"{line}\n" for line in lines]) % tuple(map(_number, self._numbers(row)))
        return _Text(old.lines, tails, row[:], text)

    def _numbers(self, row: Row) -> list[float]:
        """The numbers in the order of the samples."""
        if self._described.kind != "histogram":
            return row[:1]
        below = list(accumulate(row[:-1]))
        return [*below, below[-1], row[-1]]

    def _samples(self, labels: LabelSet, row: Row, examples: Examples) -> Iterator[Sample]:
        """The samples of a series, as its type wants them."""
        described = self._described
        named = dict(zip(described.labels, labels, strict=True))
        numbers = self._numbers(row)
        if described.kind != "histogram":
            suffix = "_total" if described.kind == "counter" else ""
            yield Sample(self.name + suffix, named, numbers[0], None, examples.get(_ABOVE))
            return
        for bound, below in zip(self._bounds, numbers, strict=False):
            labelled = {**named, "le": go_string(bound)}
            yield Sample(f"{self.name}_bucket", labelled, below, None, examples.get(bound))
        yield Sample(f"{self.name}_count", named, numbers[-2])
        yield Sample(f"{self.name}_sum", named, numbers[-1])

    def _learn(
        self, writer: _Writer, head: str, unknown: Sequence[LabelSet]
    ) -> dict[LabelSet, _Text]:
        """Have the encoder write series at zero, and cut the zeros out."""
        width = len(self._bounds) + 1
        zeros = [[*self._samples(labels, [0.0] * width, {})] for labels in unknown]
        lines = iter(self._lines(writer, head, [sample for series in zeros for sample in series]))
        return {
            labels: _Text([_gap(line) for line in islice(lines, len(series))], {}, [], "")
            for labels, series in zip(unknown, zeros, strict=True)
        }

    def _learn_tail(
        self, writer: _Writer, head: str, labels: LabelSet, line: int, exemplar: Exemplar
    ) -> str:
        """What the encoder writes behind the number of a line for an exemplar; ``%`` doubled."""
        bare = [*self._samples(labels, [0.0] * (len(self._bounds) + 1), {})][line]
        without, written = self._lines(writer, head, [bare, bare._replace(exemplar=exemplar)])
        if not written.startswith(without):
            raise _UnknownForm
        return written.removeprefix(without).replace("%", "%%")

    def _lines(self, writer: _Writer, head: str, samples: list[Sample]) -> list[str]:
        metric = Metric(self.name, self.documentation, self.type)
        metric.samples = samples
        text = writer.write(metric).decode()
        lines = text.removeprefix(head).split("\n")[:-1]
        if not text.startswith(head) or len(lines) != len(samples):
            raise _UnknownForm
        return lines


class _Writer:
    """An encoder that writes one family at a time.

    Args:
        encode: Writes a registry's metrics.
    """

    def __init__(self, encode: _Encode) -> None:
        self._encode = encode
        self.end = encode(_Only([]))

    def write(self, metric: Metric) -> bytes:
        """The family, without what ends the page."""
        return self._encode(_Only([metric])).removesuffix(self.end)


class _Only:
    """A registry of a few families."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _gap(line: str) -> str:
    """A line that ends in zero, as a template."""
    if not line.endswith(" 0.0"):
        raise _UnknownForm
    return line.removesuffix("0.0").replace("%", "%%") + "%s"


def _number(value: float) -> str:
    value = float(value)
    return repr(value) if 0 <= value < _EXPONENTS else go_string(value)


def render(registry: Any, encode: _Encode, style: str) -> bytes:
    """What ``encode(registry)`` returns.

    Args:
        registry: What to show.
        encode: An encoder of ``prometheus_client``.
        style: The content type of what it writes, which tells two encoders apart.
    """
    writer = _Writer(encode)
    parts = [
        metric.render(writer, style)
        if isinstance(metric, OwnFamily) and not metric.is_touched
        else writer.write(metric)
        for metric in registry.collect()
    ]
    return b"".join([*parts, writer.end])
