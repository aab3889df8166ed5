"""Every rule of the protocol as a switch, so that the model can show that each one is needed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """
    The rules as they are; a field that is False is a rule broken by every process of the model.

    Not modelled: what is about clocks, bytes and budgets (event time, retention margins, the publisher's
    budget), topics that compact, and ways from one variant to another (seeds, promotion, accepted losses).
    """

    # The journal: what is valid.
    a_step_has_the_newest_epoch: bool = True
    a_step_follows_the_last_valid_one: bool = True
    a_range_begins_where_the_last_one_ended: bool = True
    an_identical_repeat_is_ignored: bool = True
    a_decision_names_the_one_it_replaces: bool = True
    a_restatement_never_overrides_a_later_line: bool = True
    who_reads_behind_the_trimmed_starts_again: bool = True
    # One writer.
    a_claim_waits_for_silence: bool = True
    a_writer_beats_from_its_claim_on: bool = True
    a_new_writer_reads_the_journal_up_to_its_claim: bool = True
    a_new_writer_has_no_steps_that_the_journal_lost: bool = True
    a_new_writer_sends_the_outputs_again: bool = True
    the_first_delta_begins_at_the_snapshot: bool = True
    nothing_leaves_before_its_line_is_read_back: bool = True
    a_higher_claim_throws_the_memory_away: bool = True
    a_replay_checks_the_bytes: bool = True
    a_range_spans_holes: bool = True
    # The feed.
    nothing_of_an_incomplete_delta_counts: bool = True
    chunks_are_keyed_by_everything: bool = True
    an_old_epoch_ends_where_the_next_claim_went_on: bool = True
    an_old_epoch_counts_up_to_there: bool = True
    who_believed_a_zombie_resyncs: bool = True
    an_image_replaces_all_rows: bool = True
    what_is_known_is_skipped: bool = True
    a_gap_resyncs: bool = True
    every_partition_gets_every_delta: bool = True
    an_empty_interval_is_sent_too: bool = True
    rows_are_as_of_the_end_of_the_interval: bool = True
    removed_rows_are_sent: bool = True
    what_is_no_row_travels_too: bool = True
    # Snapshots.
    state_is_more_than_rows: bool = True
    an_image_is_completed_by_what_changed: bool = True
    an_image_is_completed_by_what_was_removed: bool = True
    the_feed_offset_is_before_the_next_delta: bool = True
    outputs_are_acknowledged_before_the_announcement: bool = True
    what_is_not_announced_does_not_exist: bool = True
    a_name_says_who_wrote_it: bool = True
    a_snapshot_is_verified: bool = True
    three_are_kept: bool = True
    trimming_spares_the_oldest_kept: bool = True
    # Counts.
    a_repeat_under_a_key_counts_once: bool = True

    def broken(self, rule: str) -> Rules:
        """Return these rules with one broken."""
        return replace(self, **{rule: False})


NAMES = tuple(field.name for field in fields(Rules))
