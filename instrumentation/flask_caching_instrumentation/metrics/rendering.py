"""Our families as text: what ``prometheus_client`` writes, byte for byte, in less time.

Names and label values of a series are the same at each scrape, and to sort, check and escape them
is most of what an encoder does. So the text of a series is kept, with a gap for each number, and
the whole text for as long as no number of it changes. What to write around the gaps is learnt from
the encoder itself, which is shown the series at zero: what a version of ``prometheus_client``
escapes, quotes or leaves out is right here too. Families that are not ours go through the encoder
at every scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, islice
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


#: What the exemplars of one series are written as, and what of, by the number of the line.
_Tails: TypeAlias = dict[int, tuple[Exemplar, bytes]]


class _Written(NamedTuple):
    """A family as it was written last. Replaced, not changed: two scrapes may meet.

    Attributes:
        head: The lines above the series.
        forms: By label values, the lines of a series, with ``%a`` for each number.
        rows: The numbers of the series, in the order in which they came.
        tails: Of the series that have exemplars.
        texts: All lines of each series, in order of label values.
    """

    head: bytes
    forms: dict[LabelSet, bytes]
    rows: Mapping[LabelSet, Row]
    tails: dict[LabelSet, _Tails]
    texts: dict[LabelSet, bytes]


#: The texts of a collector's families, by content type and name.
Texts: TypeAlias = dict[str, dict[str, _Written]]


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

    def render(self, writer: _Writer, style: str) -> list[bytes]:
        """What ``writer`` makes of it, in parts; ``style`` is the content type of that."""
        try:
            written = self._write(writer, style)
        except _UnknownForm:
            return [writer.write([self])]
        return [written.head, *written.texts.values()]

    def _write(self, writer: _Writer, style: str) -> _Written:
        """The family with the numbers of now, which is kept."""
        if style not in self._texts and len(self._texts) >= _STYLES:
            self._texts.clear()
        styled = self._texts.setdefault(style, {})
        known = styled.get(self.name)
        if known is None:
            head = writer.write([self._bare()])
            known = styled[self.name] = _Written(head, {}, {}, {}, {})
        # The plain format has none: there they are not looked at.
        examples: Mapping[LabelSet, Examples] = self._examples if "openmetrics" in style else {}
        rows = self._rows
        if not examples and not known.tails and (rows is known.rows or rows == known.rows):
            return known
        # As lists: to look each of them up would hash all label values.
        if list(rows) != list(known.rows):
            known = self._rearrange(writer, known)
        tails = {
            labels: self._tails(writer, labels, shown, known.tails.get(labels, {}))
            for labels, shown in examples.items()
            if labels in rows
        }
        texts = known.texts.copy()
        for labels in self._changed(known, tails):
            texts[labels] = self._text(known.forms[labels], rows[labels], tails.get(labels, {}))
        styled[self.name] = written = _Written(known.head, known.forms, rows, tails, texts)
        return written

    def _changed(self, known: _Written, tails: Mapping[LabelSet, _Tails]) -> list[LabelSet]:
        """The series whose numbers or exemplars are others than those of ``known``."""
        pairs = zip(self._rows.items(), known.rows.values(), strict=True)
        changed = [labels for (labels, row), before in pairs if row != before]
        for labels in tails.keys() | known.tails.keys():
            if tails.get(labels) != known.tails.get(labels):
                changed.append(labels)
        return changed

    def _rearrange(self, writer: _Writer, known: _Written) -> _Written:
        """With the series that exist now, and no others; the new ones have no text yet."""
        rows, forms = self._rows, known.forms
        unknown = [labels for labels in rows if labels not in forms]
        if unknown:
            forms = dict(sorted({**forms, **self._learn(writer, unknown)}.items()))
        order = [labels for labels in forms if labels in rows]
        return _Written(
            known.head,
            {labels: forms[labels] for labels in order},
            {labels: known.rows.get(labels, []) for labels in rows},
            {labels: known.tails[labels] for labels in order if labels in known.tails},
            {labels: known.texts.get(labels, b"") for labels in order},
        )

    def _tails(
        self, writer: _Writer, labels: LabelSet, examples: Examples, before: _Tails
    ) -> _Tails:
        """What the exemplars of a series are written as."""
        tails: _Tails = {}
        for bound, exemplar in examples.items():
            line = self._bounds.index(bound)
            known = before.get(line)
            if known is None or known[0] is not exemplar:
                known = exemplar, self._learn_tail(writer, labels, line, exemplar)
            tails[line] = known
        return tails

    def _text(self, form: bytes, row: Row, tails: _Tails) -> bytes:
        """A series with its numbers and exemplars."""
        if tails:
            lines = form.split(b"\n")
            for number, (_, tail) in tails.items():
                lines[number] += tail
            form = b"\n".join(lines)
        if self._described.kind != "histogram":
            return form % _shown(row[0])
        return form % tuple(map(_shown, self._numbers(row)))

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

    def _learn(self, writer: _Writer, unknown: Sequence[LabelSet]) -> dict[LabelSet, bytes]:
        """Have the encoder write series at zero, and cut the zeros out."""
        zero = [0.0] * (len(self._bounds) + 1)
        series = [[*self._samples(labels, zero, {})] for labels in unknown]
        lines = iter(self._lines(writer, [sample for samples in series for sample in samples]))
        return {
            labels: b"".join(map(_gap, islice(lines, len(samples))))
            for labels, samples in zip(unknown, series, strict=True)
        }

    def _learn_tail(
        self, writer: _Writer, labels: LabelSet, line: int, exemplar: Exemplar
    ) -> bytes:
        """What the encoder writes behind the number of a line for an exemplar; ``%`` doubled."""
        bare = [*self._samples(labels, [0.0] * (len(self._bounds) + 1), {})][line]
        without, written = self._lines(writer, [bare, bare._replace(exemplar=exemplar)])
        if not written.startswith(without):
            raise _UnknownForm
        return written.removeprefix(without).replace(b"%", b"%%")

    def _lines(self, writer: _Writer, samples: list[Sample]) -> list[bytes]:
        """What the encoder writes of the samples, a line for each."""
        metric = self._bare()
        head = writer.write([metric])
        metric.samples = samples
        text = writer.write([metric])
        lines = text.removeprefix(head).split(b"\n")[:-1]
        if not text.startswith(head) or len(lines) != len(samples):
            raise _UnknownForm
        return lines

    def _bare(self) -> Metric:
        return Metric(self.name, self.documentation, self.type)


class _Writer:
    """An encoder that writes some families at a time.

    Args:
        encode: Writes a registry's metrics.
    """

    def __init__(self, encode: _Encode) -> None:
        self._encode = encode
        self.end = encode(_Only([]))

    def write(self, metrics: list[Metric]) -> bytes:
        """The families, without what ends the page."""
        return self._encode(_Only(metrics)).removesuffix(self.end)


class _Only:
    """A registry of a few families."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class _GoFloat(float):
    """A number that shows itself as Prometheus writes it."""

    def __repr__(self) -> str:
        return go_string(self)


def _shown(number: float) -> float:
    """What shows itself so. Of most numbers Python writes the same, and sooner."""
    number = float(number)
    return number if 0 <= number < _EXPONENTS else _GoFloat(number)


def _gap(line: bytes) -> bytes:
    """A line that ends in zero, as a form."""
    if not line.endswith(b" 0.0"):
        raise _UnknownForm
    return line.removesuffix(b"0.0").replace(b"%", b"%%") + b"%a\n"


def render(registry: Any, encode: _Encode, style: str) -> bytes:
    """What ``encode(registry)`` returns.

    Args:
        registry: What to show.
        encode: An encoder of ``prometheus_client``.
        style: The content type of what it writes, which tells two encoders apart.
    """
    writer = _Writer(encode)
    parts: list[bytes] = []
    for are_ours, metrics in groupby(registry.collect(), _is_ours):
        if are_ours:
            for metric in metrics:
                parts += metric.render(writer, style)
        else:
            parts.append(writer.write(list(metrics)))
    parts.append(writer.end)
    return b"".join(parts)


def _is_ours(metric: Metric) -> bool:
    """Whether it is a family of ours, as it was when it was made."""
    return isinstance(metric, OwnFamily) and not metric.is_touched
