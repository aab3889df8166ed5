"""
The data plane: a Rust crate that knows no Kafka, Redis or environment.

No call holds the GIL while it works. A *row* on the wire is 16 bytes, little-endian: id uint64, z float32,
n float32; an id alone is 8 bytes. *State* blobs are versioned and opaque to Python.
"""

from collections.abc import Sequence
from typing import Any, final

__all__ = [
    "MATH_VERSION",
    "Batch",
    "Challengers",
    "ComparedBlock",
    "Cut",
    "Front",
    "Learned",
    "Learner",
    "Ordered",
    "Ordering",
    "PartitionLearner",
    "Plan",
    "Refusal",
    "Replica",
    "Scan",
    "Seal",
    "StatePieces",
    "blob_watermark",
    "checksum",
    "reserved_rows",
    "score_state",
]

MATH_VERSION: int

def checksum(records: Sequence[bytes | None]) -> int:
    """Return xxh3-64 over the records, each preceded by its length (uint32; 2**32-1 for None)."""

@final
class Plan:
    """A compiled feature plan: canonical JSON bytes from ``stream_ml.features``; immutable, shareable."""

    def __new__(cls, plan: bytes) -> Plan:
        """Raises ValueError: not a plan this release can run; the message says where."""
    @property
    def fingerprint(self) -> str:
        """xxh3-128 of the plan's bytes, 32 hex digits."""
    @property
    def scan_fingerprint(self) -> str:
        """Equal for two plans of which this release makes the same examples; 32 hex digits."""
    @property
    def source(self) -> bytes:
        """The bytes the plan was made of."""
    def explain(self, event: bytes) -> dict[str, Any]:
        """
        Scan one event; return its roles and features.

        Roles are label, importance, timestamp_us, event_id (hash), served, label_time_us, segment.
        What the event does not bring is None (importance: 1.0); nothing need be there. One event alone.
        ``features`` is a list of (slot, value text, id, x). Raises ValueError with the reason code as
        first argument and the detail as second if the event is refused.
        """
    def scan(self, records: Sequence[bytes | None], timestamps_ms: Sequence[int]) -> Scan:
        """Scan records as the learner does, without learning (tests, exports, caches)."""

@final
class Scan:
    """Columns of scanned events, numpy-ready bytes, native byte order."""

    events: int
    record: bytes  # uint32 (events,): index of the record in the call
    index: bytes  # uint32 (events,): index of the event in its record
    label: bytes  # float32 (events,), NaN where absent
    importance: bytes  # float32 (events,)
    served: bytes  # float32 (events,), NaN where absent
    timestamp_us: bytes  # int64 (events,), minimum where absent
    label_time_us: bytes  # int64 (events,), minimum where absent
    event_id: bytes  # uint64 (events,), hash; 0 where absent
    offsets: bytes  # uint32 (events + 1,): features of event i are [offsets[i], offsets[i+1])
    ids: bytes  # uint64 (features,)
    values: bytes  # float32 (features,)
    skipped: int  # unlabelled events, where the model says skip
    empty: int  # tombstones and blank records
    refused: list[Refusal]

@final
class Refusal:
    """One event that was not learned: belongs in the dead-letter topic."""

    partition: int
    record: int  # index of the record within its range
    index: int  # of the event within the record
    start: int  # bytes of the event within the record's value
    end: int
    reason: str  # bounded set of codes: see Reason in block.rs
    detail: str

@final
class Learned:
    """What one call of ``learn`` did."""

    learned: int
    duplicates: int
    skipped: int  # unlabelled events, where the model says skip
    empty: int  # tombstones and blank records
    refused: list[Refusal]
    # Closed in this call, JSON objects: index, learned_from, learned_to, watermark_us, the figures and sums
    # that Learner.metrics names, positives and negatives (importance by log-odds, 512 bins of 1/16 from -16),
    # served (the same for the probabilities that were served, or null), features, unseen, missing, segments:
    # schemas/topics.md says it all.
    evaluations: list[bytes]
    scans: list[bytes]  # one a range, where learn was asked to keep them: opaque, checksummed
    seconds: float  # spent working

@final
class Learner:
    """
    The table of rows and everything else that learning depends on; one call at a time.

    Same calls in the same order give the same bits, for any number of scan threads, any split of the
    ranges into calls, and on any machine.
    """

    def __new__(
        cls,
        plan: Plan,
        *,
        scan_threads: int = 1,
        expected_rows: int = 0,
        waiting_labels: int | None = None,
    ) -> Learner:
        """
        Make an empty one.

        Args:
            waiting_labels: learn every event at its label's time (scored at its own; one without is learned
                at once) instead of its own; at most so many wait, if there are more those whose label comes
                first are learned early. They are in no image and no state: `learn_waiting` comes before.
        """
    def learn(
        self, ranges: Sequence[tuple[int, Sequence[bytes | None], Sequence[int]]], *, keep_scans: bool = False
    ) -> Learned:
        """Learn ranges in the order given; a range is (partition, values, timestamps_ms)."""
    def learn_scanned(self, ranges: Sequence[tuple[int, bytes]]) -> Learned:
        """
        Learn ranges in the order given; a range is (partition, what an equal `scan_fingerprint` kept of it).

        Raises ValueError, and learns nothing, if one is damaged.
        """
    def learn_waiting(self) -> Learned:
        """Learn the events that still wait for their label, in the order of the labels."""
    def cut(self) -> Cut:
        """Return every row changed or removed since the last cut, as it is now, and the score state."""
    def begin_image(self) -> None:
        """Start a fuzzy image of all rows, for a snapshot; learning goes on between calls of take_image."""
    def take_image(self, max_rows: int) -> bytes:
        """
        Return up to *max_rows* further rows of the image (later ones override earlier ones); b"" at its end.

        Cut between the calls: what changed since the last cut is left to the seal.
        """
    def seal_image(self) -> Seal:
        """End the image: the rows and removals that make it exact as of now, and the learner's state."""
    def load_rows(self, rows: bytes | memoryview) -> None:
        """
        Put rows in absolutely (restore); may be called many times, later ones win.

        Rows of an image may come in its order and in pieces. Raises ValueError, and touches nothing, if one
        is damaged.
        """
    def load_removed(self, ids: bytes | memoryview) -> None: ...
    def load_state(self, state: bytes | memoryview) -> None:
        """Raises ValueError: of another fingerprint or format, or damaged."""
    def load_score_state(self, state: bytes | memoryview) -> None:
        """
        Take over a score state, as of rows that were shared; counters and event ids stay as they are.

        Raises ValueError: damaged.
        """
    def remember(self, partition: int, values: Sequence[bytes | None], timestamps_ms: Sequence[int]) -> int:
        """Know the event ids of records that were learned before; return how many events had one."""
    def forget(self) -> None:
        """Know no event ids any more."""
    def begin_with(
        self, before: Plan, state: bytes | memoryview, *, same_ids: bool, same_times: bool
    ) -> None:
        """
        Begin a variant with the rows loaded, which a learner of the plan *before* left with *state*.

        Every row is changed so that its weight under this plan's hyper-parameters is the one it had; n stays.
        Counters and evaluations start at zero; the duplicate windows do unless *same_ids*, the watermark
        unless *same_times*. Raises ValueError: damaged, or of another loss or optimizer.
        """
    def begin_variant(self) -> None:
        """Begin a variant with what was loaded: its counters and evaluations start at zero."""
    def lookup(self, ids: bytes) -> bytes:
        """Return rows (16 bytes each) for the ids, zero rows where unseen."""
    def digest(self) -> dict[str, Any]:
        """
        Return rows (count), rows_hash (order-free), state_hash.

        Two learners are equal in everything that can alter learning exactly if these are.
        """
    def metrics(self) -> dict[str, float]:
        """
        Return totals since the variant began; NaN where a figure does not exist yet.

        records learned duplicates refused skipped empty; examples log_loss auc calibration
        normalized_entropy importance_sum label_sum prediction_sum loss_sum, the same with ``served_`` in
        front; rows rows_refused rows_not_admitted rows_expired table_bytes evaluations; with
        *waiting_labels* also labels_waiting and labels_early (learned before their label was known).
        """
    @property
    def watermark_us(self) -> int: ...

@final
class PartitionLearner:
    """
    Learns one source partition with rows that lie elsewhere, in shards: scan, pull, learn, push.

    A row's shard is its id modulo the number of shards. Ids below 4 are no features: 0 is the bias; where the
    base rate is measured, 1 has the sums of its labels (z) and importances (n), 2 the number of its examples
    (z). They lie in shard 0. Scanning may go on in one thread while another learns; else one call at a time.
    """

    def __new__(cls, plan: Plan, *, partition: int, shards: int, scan_threads: int = 1) -> PartitionLearner:
        """Raises ValueError: no shards, or a model that drops or limits rows (expire_…, max_rows)."""
    def scan(self, values: Sequence[bytes | None], timestamps_ms: Sequence[int]) -> Batch:
        """Scan consecutive records, to be learned; nothing is counted yet."""
    def learn(
        self, batch: Batch, rows: Sequence[bytes | memoryview]
    ) -> tuple[Learned, list[tuple[bytes, bytes]]]:
        """
        Learn a batch with its rows, as a Learner that had these would.

        Args:
            rows: by shard z and n, float32, of ``batch.ids``, in their order; zeros where there is no row.

        Returns:
            What was done, and by shard what to add: those ids whose row changed (uint64), Δz and Δn of
            each (float32).

        Raises ValueError, and touches nothing: not the batch's rows, or of another plan or partition.
        """
    def remember(self, values: Sequence[bytes | None], timestamps_ms: Sequence[int]) -> int:
        """
        Know the event ids of records that were learned before, without learning or counting them again.

        To take over a partition: the last duplicate_window events that have one. Returns how many had one.
        """
    def forget(self) -> None:
        """Know no event ids any more."""
    def state(self) -> bytes:
        """
        Return what belongs to the partition beside its rows: counters, figures, open evaluation, watermark.

        Not the duplicate window (``remember`` rebuilds it), not bias or base rate, which are rows.
        """
    def load_state(self, state: bytes | memoryview) -> None:
        """
        Go on from the state of another; the window stays what it is.

        Raises ValueError, and touches nothing: of another fingerprint or format, or damaged.
        """
    def metrics(self) -> dict[str, float]:
        """Return the partition's totals by the names of Learner.metrics; rows and table_bytes: last batch."""
    @property
    def watermark_us(self) -> int: ...

@final
class Batch:
    """Scanned records of one partition, for the PartitionLearner that scanned them or another of its plan."""

    ids: list[bytes]  # by shard the rows that it needs: uint64, distinct, ascending
    @property
    def events(self) -> int:
        """Examples, duplicates included, refusals not."""
    @property
    def records(self) -> int: ...

@final
class Challengers:
    """
    Several models over the same events: one scan for all, their rows side by side; one call at a time.

    A challenger is (alpha, beta, l1, l2, decay, slots by number or None for all, first example learned); the
    rest is the plan's, expiry left out. Its rows, score state and figures are those of a Learner of its own,
    bit for bit, for any number of threads and any split into calls. With fewer slots the sums of a score are
    rounded in another order.
    """

    def __new__(
        cls,
        plan: Plan,
        settings: Sequence[tuple[float, float, float, float, float, Sequence[int] | None, int]],
        *,
        threads: int = 1,
        block_examples: int = 1000,
        max_rows: int | None = None,
        expected_rows: int = 0,
    ) -> Challengers:
        """
        Begin with no rows.

        Args:
            block_examples: what a ComparedBlock spans.
            max_rows: features that may have rows, where the plan does not allow fewer.

        Raises ValueError: a setting out of bounds, a slot that is not there; or optimizer counting.
        """
    def learn(
        self, ranges: Sequence[tuple[int, Sequence[bytes | None], Sequence[int]]]
    ) -> list[ComparedBlock]:
        """Learn ranges as a Learner does; return the blocks that closed."""
    def learn_scanned(self, ranges: Sequence[tuple[int, bytes]]) -> list[ComparedBlock]:
        """
        Learn kept scans.

        Raises ValueError, and learns nothing: damaged, or without slots where challengers differ in them.
        """
    def load_rows(self, challengers: Sequence[int], before: Plan, rows: bytes | memoryview) -> None:
        """Put rows of a learner of the plan *before* into some challengers: each weight stays what it was."""
    def load_score_state(
        self, challengers: Sequence[int], before: Plan, state: bytes | memoryview
    ) -> None: ...
    def rows(self, challenger: int, first: int, count: int) -> bytes:
        """Return a challenger's rows of *count* features from number *first* on; zero rows are left out."""
    def score_state(self, challenger: int) -> bytes: ...
    def counts(self) -> dict[str, int]:
        """Return records learned duplicates refused skipped empty so far."""
    def begin_histograms(self) -> None:
        """Begin them anew: they are of the blocks that begin from here on, as far as those are closed."""
    def histogram(self, challenger: int) -> tuple[list[float], list[float], list[float]] | None:
        """
        Return importance of positives, of negatives, and the sum of predictions, by the log-odds predicted.

        Each has 64 bins of 1/2 log-odds, of which number 32 begins at 0. None where scores are no log-odds.
        """
    @property
    def features(self) -> int:
        """Features that have rows."""

@final
class Ordering:
    """
    What Challengers do beside arithmetic, for who does that elsewhere: order of learning, lines of features.

    Features have lines by the order in which they came; 0 is the line of those that have no row.
    """

    def __new__(cls, plan: Plan, *, slots: bool = False) -> Ordering: ...
    def order(self, ranges: Sequence[tuple[int, Sequence[bytes | None], Sequence[int]]]) -> Ordered:
        """Scan ranges; return what is to be done with their examples, in this order."""
    def put(self, ids: bytes | memoryview) -> bytes:
        """Return the lines (uint32) of ids that have rows already."""
    def counts(self) -> dict[str, int]:
        """As those of Challengers."""
    @property
    def ids(self) -> bytes:
        """Feature ids by line (uint64), the first of which is none."""
    @property
    def features(self) -> int: ...
    @property
    def segments(self) -> list[str] | None:
        """Names of segments by place, so far; None where the model names no segment."""
    @property
    def watermark_us(self) -> int: ...

@final
class Ordered:
    """Columns of examples, numpy-ready bytes, native byte order."""

    judges: bytes  # uint8: its score is judged
    learns: bytes  # uint8: it is learned; where learn_after is record, later than judged
    first: bytes  # uint32: its features are [first, end) of the columns below
    end: bytes  # uint32
    label: bytes  # float32
    importance: bytes  # float32
    number: bytes  # uint64: examples learned before it
    segments: bytes  # uint8: place of its segment; 32 are the rest, and who has none
    lines: bytes  # uint32, by feature
    values: bytes  # float32, by feature
    slots: bytes  # uint16, by feature, where asked for

@final
class ComparedBlock:
    """Sums over the same examples, scored before they were learned; lists are by challenger."""

    first: int  # examples judged before it
    end: int  # and up to its end
    importance_sum: float
    label_sum: float
    watermark_us: int  # int64 minimum before the first event with a time
    loss_sums: list[float]
    prediction_sums: list[float]
    # Name (None: the rest), examples, importance, loss sums; where the model has any, those with examples.
    segments: list[tuple[str | None, int, float, list[float]]]

def score_state(plan: Plan, rows: bytes | memoryview, watermark_us: int) -> bytes:
    """
    Return the score state that a Replica takes, from shared rows.

    Args:
        rows: z and n, float32, of the ids 0, 1 and 2 (see PartitionLearner); zeros where there is no row.

    Raises ValueError: not three rows, or damaged.
    """

def reserved_rows(score_state: bytes) -> bytes:
    """
    Return the rows 0, 1 and 2 (z and n each) that a score state stands for.

    Raises ValueError: damaged, or with a base rate that was taken over from another model file.
    """

def blob_watermark(state: bytes | memoryview) -> int:
    """Return the watermark in a state of PartitionLearner; ValueError if that is damaged."""

@final
class Cut:
    rows: bytes
    removed: bytes
    score_state: bytes  # bias, base rate, watermark: what a score needs that is not a row

@final
class Seal:
    rows: bytes
    removed: bytes
    score_state: bytes
    total_rows: int  # live rows at this point
    rows_hash: int  # order-free, over live rows
    @property
    def state(self) -> bytes:
        """The learner's state as of the seal, put together anew by each who asks."""
    def state_pieces(self) -> StatePieces:
        """
        Return the same bytes in pieces, for any thread while the learner goes on.

        A large duplicate window is not copied before it is asked for here, and no piece keeps the
        interpreter for long.
        """

@final
class StatePieces:
    def __iter__(self) -> StatePieces: ...
    def __next__(self) -> bytes: ...

@final
class Replica:
    """A model being served: rows + score state + plan; readers score while one writer applies."""

    def __new__(cls, plan: Plan, *, expected_rows: int = 0) -> Replica: ...
    def load_rows(self, rows: bytes | memoryview) -> None:
        """Put rows in absolutely; later ones win. ValueError, and nothing touched, if one is damaged."""
    def load_removed(self, removed: bytes | memoryview) -> None:
        """Take rows out; an id that is no row is none."""
    def apply(
        self,
        rows: bytes | memoryview,
        removed: bytes | memoryview,
        score_state: bytes,
        step: int,
        learned_at: float,
    ) -> None:
        """
        Apply one whole delta as of *step*, learned at *learned_at* (unix seconds); scoring goes on meanwhile.

        Raises ValueError, and touches nothing, if a part of it is damaged.
        """
    def confirm(self, learned_at: float) -> None:
        """Say that at *learned_at* (unix seconds) these rows were still the newest: a heartbeat."""
    def score(
        self, events: Sequence[bytes], *, uncertainty: bool = False, contributions: bool = False
    ) -> list[dict[str, Any]]:
        """
        Score each event by itself.

        Returns per event: prediction, log_odds, and where asked for uncertainty and contributions (a list of
        (slot, log-odds share), "bias" last, that sums to log_odds); or error (reason code, detail).
        """
    def digest(self) -> dict[str, Any]:
        """Return rows (count), rows_hash (order-free, as the learner's), and step."""
    @property
    def step(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def has_learned(self) -> bool:
        """Whether anything was learned, here or by a seed; else every score is the base rate."""
    @property
    def learned_at(self) -> float: ...
    @property
    def watermark_us(self) -> int | None: ...
    @property
    def fingerprint(self) -> str: ...

@final
class Front:
    """The Thrift server that untrusted bytes meet: framed binary protocol, own native threads."""

    def __new__(
        cls, host: str, port: int, *, threads: int = 1, limits: dict[str, float] | None = None
    ) -> Front:
        """
        Bind (port 0 picks one) and answer; until a model is served, "no model yet".

        Args:
            limits: any of connections, frame_bytes, events (of a call), event_bytes, buffered_bytes (of all
                connections together), turn_bytes (of a connection, before others get their turn),
                idle_seconds (between calls), transfer_seconds (of a call, of an answer), lag_seconds (of the
                server thread, beyond which calls are shed).

        Raises OSError: the address cannot be bound. ValueError: no such limit.
        """
    @property
    def port(self) -> int: ...
    def expect(self, model: str) -> None:
        """Answer calls for *model* with "no model yet" until it is served."""
    def serve(self, model: str, variant: str, replica: Replica) -> None:
        """Swap in *replica* for *model*, whole, at once; no call is answered by two."""
    def mark_stale(self, model: str, stale: bool) -> None:
        """Say in every answer that the weights have lost touch with the feed, or no more."""
    def drain(self, timeout_seconds: float) -> bool:
        """Stop accepting, answer what is in flight, close; False if the time ran out. Idempotent."""
    def take_calls(self, most: int) -> list[dict[str, Any]]:
        """
        Return the calls of `score` noted since the last time; *most* of each kind are until the next.

        The kinds: those that had no answer (outcome, correlation_id or None, events, reason), and those that
        had one and came with a correlation id (… model, variant, step, seconds that it took).
        """
    def stats(self) -> dict[str, Any]:
        """
        Return counters since start, for /metrics.

        calls (by outcome), closed (connections ended by us, by reason), events_scored, events_refused,
        connections_accepted, connections_open, latency_bounds_seconds, latency_buckets (not cumulated, one
        more than bounds), latency_sum_seconds.
        """
