"""The bytes of an entry, as they are written to a file or to a server.

They begin with a header and end with a checksum. That covers the key as well, so that what was
written under one key is never taken for another's, whoever mixed them up. Under
``CACHE_SERIALIZER = "signed"`` a MAC takes its place, which is checked before anything is parsed.

In between is the body of the payload, which is what may be large. A store that can write and read
it apart from the rest, a file, spares it two copies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import struct
import zlib
from typing import Any

from .compression import COMPRESSIONS
from .entry import DIGEST_SIZE, SEALED_SIZE, Entry, Form, Witness
from .errors import SerializationError, UnreadableEntry
from .payloads import dump_payload, head_size, load_payload

__all__ = ["MAGIC", "ByteForm"]

#: The released library takes what begins like this for a pickle, finds that it is none, and has a
#: miss: so both can work on one store while an application is being upgraded.
MAGIC = b"!\xfcFC"
_VERSION = 3
#: What begins every entry of one application: MAGIC, the version, a fingerprint of the secret.
_START = len(MAGIC) + 1 + 4
#: Then: form, flags, reads, created, expires, load seconds, lengths of versions and vary, length
#: of the payload before it was compressed (else 0).
_HEADER = struct.Struct(">BBBdddHHI")
_BEGIN = _START + _HEADER.size
#: At the end, unless there is a MAC: the CRC of the key and of all that comes before.
_CHECKSUM = struct.Struct("<I")
#: What the CRC of anything and its own CRC behind it is.
_RESIDUE = 0x2144DF1C
#: Flags: a MAC is at the end; a sealed witness follows the header; the number of the compression.
_SIGNED = 0x80
_WITNESS = 0x40
_COMPRESSION = 0x0F
#: What a view may have been seen to read; as bits, in this order.
_READS = ("host", "query", "root", "scheme")
_READ_SETS: tuple[frozenset[str], ...] = tuple(
    frozenset[str](name for bit, name in enumerate(_READS) if number >> bit & 1)
    for number in range(16)
)
_FORMS = {int(form): form for form in Form}
_MAC_SIZE = 32
_DAMAGED = "the entry is damaged, cut off, or of another key"


class ByteForm:
    """Between the entries of one application and bytes.

    Args:
        secret: The application's secret: the key of witnesses and MACs.
        signed: Whether every entry has a MAC; then one without is unreadable.
        compression: ``"zlib"``, ``"zstd"`` or ``None``. Whatever it is, entries compressed with
            another can be read.
        compression_threshold: Bytes from which on a payload is compressed.

    Attributes:
        largest: Bytes that a compressed payload may turn out to be; ``None`` for any number. For
            whoever looks at entries that are not needed.
    """

    largest: int | None = None

    def __init__(
        self, secret: bytes, signed: bool, compression: str | None, compression_threshold: int
    ) -> None:
        self._compression = COMPRESSIONS[compression] if compression else None
        self._compression_threshold = compression_threshold
        self._flags = _SIGNED if signed else 0
        self._key = hashlib.blake2b(secret, person=b"flask-caching").digest()
        #: Copied for each hash, which is quicker than to begin one with a key.
        self._hash = hashlib.blake2b(key=self._key, digest_size=DIGEST_SIZE)
        fingerprint = hashlib.blake2b(b"fingerprint", key=self._key, digest_size=4).digest()
        self._start = MAGIC + bytes([_VERSION]) + fingerprint

    def dumps(self, entry: Entry, key: str = "") -> bytes:
        """The byte form of an entry, as ``dump_parts`` gives it in parts."""
        # The one copy of a large body.
        return b"".join(self.dump_parts(entry, key))

    def dump_parts(self, entry: Entry, key: str = "") -> tuple[bytes, bytes, bytes]:
        """What is before the body of an entry's payload, the body, and the checksum behind it.

        The first are a header, the rest of the metadata, the head of the payload. The length of
        all is noted in the entry's ``size``.

        Args:
            entry: The entry.
            key: What it will be stored under; :meth:`loads` has to be given the same.

        Raises:
            SerializationError: If the metadata or the payload cannot be written.
        """
        try:
            flags, metadata, fields = self._dump_metadata(entry)
            head, body = dump_payload(entry.form, entry.payload)
        except Exception as error:
            raise SerializationError(f"the entry cannot be written: {error!r}") from error
        size = 0
        if self._compression is not None:
            head, body, size = self._compressed(head, body)
            flags |= self._compression.number if size else 0
        bound = key.encode("utf-8", "surrogatepass")
        header = self._start + _HEADER.pack(entry.form, flags, *fields, size)
        before = b"".join((header, metadata, head))
        if flags & _SIGNED:
            end = self._mac(bound, before, body)
        else:
            end = _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(before, zlib.crc32(bound))))
        entry.size = len(before) + len(body) + len(end)
        return before, body, end

    def _compressed(self, head: bytes, body: bytes) -> tuple[bytes, bytes, int]:
        """A payload as it is stored, and its length before if it was made smaller; else 0."""
        size = len(head) + len(body)
        if self._compression is None or size < self._compression_threshold:
            return head, body, 0
        smaller = self._compression.compress(head + body)
        return (b"", smaller, size) if len(smaller) < size else (head, body, 0)

    def _dump_metadata(self, entry: Entry) -> tuple[int, bytes, tuple[Any, ...]]:
        """The flags, the metadata behind the header, and that in the header."""
        flags, sealed = self._flags, entry.sealed
        if entry.witness is not None:
            sealed = self.digest(entry.witness) + b"".join(self._seals(entry.witness))
        if sealed:
            flags |= _WITNESS
        versions = b"".join(
            len(data).to_bytes(1, "big") + data for data in map(str.encode, entry.versions)
        )
        vary = json.dumps(entry.vary).encode() if entry.vary else b""
        reads = _READ_SETS.index(entry.reads)
        times = (entry.created_at, entry.expires_at, entry.load_seconds)
        fields = (reads, *times, len(versions), len(vary))
        return flags, sealed + versions + vary, fields

    def around(self, data: bytes, begin: int) -> tuple[int, int] | None:
        """How many bytes are before the body of an entry's payload, and how many behind it.

        Args:
            data: Something with the first bytes of the entry in it.
            begin: Where they begin.

        Returns:
            ``None`` if ``data`` is not enough to tell that, or not an entry of this application.
        """
        if not data.startswith(self._start, begin):
            return None
        try:
            form, flags, _, _, _, _, versions, vary, _ = _HEADER.unpack_from(data, begin + _START)
            before = _BEGIN + (SEALED_SIZE if flags & _WITNESS else 0) + versions + vary
            if not flags & _COMPRESSION:
                before += head_size(_FORMS[form], data, begin + before)
        except (KeyError, struct.error):
            return None
        return before, _MAC_SIZE if flags & _SIGNED else _CHECKSUM.size

    def loads(self, data: bytes, key: str = "", body: bytes = b"") -> Entry:
        """The entry in ``data``, which was found under ``key``.

        Args:
            data: The whole entry, or what is before and behind the body of its payload.
            key: What it was found under.
            body: The body, if it is not in ``data``. It is not copied.

        Raises:
            UnreadableEntry: If it is not one that this application wrote under that key, or is
                cut off.
        """
        if not data.startswith(self._start) or len(data) < _BEGIN:
            raise self._not_ours(data)
        fields = _HEADER.unpack_from(data, _START)
        flags = fields[1]
        bound = key.encode("utf-8", "surrogatepass")
        end = -_CHECKSUM.size
        if flags & _SIGNED:
            end = -_MAC_SIZE
            mac = self._mac(bound, memoryview(data)[:end], body)
            if not hmac.compare_digest(data[end:], mac):
                raise UnreadableEntry("the entry's signature does not match", "signature")
        elif self._flags & _SIGNED:
            raise UnreadableEntry("the entry is not signed", "signature")
        else:
            checksum = zlib.crc32(bound)
            if body:
                checksum = zlib.crc32(body, zlib.crc32(data[:end], checksum))
            if zlib.crc32(data[end:] if body else data, checksum) != _RESIDUE:
                raise UnreadableEntry(_DAMAGED, "truncated")
        if flags & _COMPRESSION and self.largest is not None and fields[-1] > self.largest:
            raise UnreadableEntry(f"the entry is {fields[-1]} bytes when unpacked", "too_large")
        try:
            entry = _entry(data, end, body, *fields)
        except Exception as error:
            raise UnreadableEntry(f"the entry cannot be read: {error!r}", "truncated") from error
        entry.size = len(data) + len(body)
        return entry

    def _not_ours(self, data: bytes) -> UnreadableEntry:
        """Why data that does not begin as this application's entries do cannot be read."""
        if not data.startswith(MAGIC):
            return UnreadableEntry("not an entry of Flask-Caching 3", "foreign")
        if data[len(MAGIC) : len(MAGIC) + 1] not in (b"", bytes([_VERSION])):
            version = data[len(MAGIC)]
            return UnreadableEntry(f"an entry of format {version}, not {_VERSION}", "version")
        if len(data) < _BEGIN:
            return UnreadableEntry("the entry is cut off", "truncated")
        return UnreadableEntry("an entry made under another SECRET_KEY", "secret")

    def seal(self, witness: Witness) -> Witness:
        """A witness as keyed hashes (blake2b, 8 bytes), equal for equal identities."""
        return Witness(*self._seals(witness))

    def _seals(self, witness: Witness) -> list[bytes]:
        return [self._digest(repr(part)) for part in witness]

    def digest(self, witness: Witness) -> bytes:
        """One keyed hash of a whole witness, to find out at little cost that it is the same."""
        return self._digest(repr(tuple(witness)))

    def _mac(self, bound: bytes, *parts: bytes | memoryview) -> bytes:
        """The MAC of an entry; the length of its key first, so that nothing moves in between."""
        mac = hashlib.blake2b(key=self._key, digest_size=_MAC_SIZE, person=b"entry")
        for part in (len(bound).to_bytes(4, "big"), bound, *parts):
            mac.update(part)
        return mac.digest()

    def _digest(self, text: str) -> bytes:
        hashing = self._hash.copy()
        hashing.update(text.encode())
        return hashing.digest()


def _entry(
    data: bytes,
    end: int,
    body: bytes,
    form: int,
    flags: int,
    reads: int,
    created_at: float,
    expires_at: float,
    load_seconds: float,
    versions: int,
    vary: int,
    size: int,
) -> Entry:
    """The entry in ``data`` and ``body``, of the fields of its header."""
    if not math.isfinite(created_at + expires_at + load_seconds):
        raise ValueError("its times are no numbers")
    sealed = _BEGIN + SEALED_SIZE if flags & _WITNESS else _BEGIN
    middle = sealed + versions
    begin = middle + vary
    kind = _FORMS[form]
    if flags & _COMPRESSION:
        whole = _decompress(flags & _COMPRESSION, body or data[begin:end], size)
        payload = load_payload(kind, whole, 0, len(whole))
    else:
        payload = load_payload(kind, data, begin, end, body)
    # By position, which takes half the time.
    return Entry(
        kind,
        payload,
        created_at,
        expires_at,
        load_seconds,
        None,
        data[_BEGIN:sealed],
        _load_versions(data[sealed:middle]) if versions else (),
        tuple(map(tuple, json.loads(data[middle:begin]))) if vary else (),
        _READ_SETS[reads],
    )


def _load_versions(data: bytes) -> tuple[str, ...]:
    """Texts, each behind a byte with its length."""
    found: list[str] = []
    place = 0
    while place < len(data):
        end = place + 1 + data[place]
        found.append(data[place + 1 : end].decode())
        place = end
    return tuple(found)


def _decompress(number: int, payload: bytes, size: int) -> bytes:
    for compression in COMPRESSIONS.values():
        if compression.number == number:
            whole = compression.decompress(payload, size)
            if len(whole) != size:
                raise ValueError(f"it holds {len(whole)} bytes instead of {size}")
            return whole
    raise ValueError(f"there is no compression number {number}")
