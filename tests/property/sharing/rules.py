"""Every rule of Redis mode as a switch, so that the model can show that each one is needed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules as they are; a field that is False is a rule broken by every process of the model."""

    # Functions of a shard.
    a_function_knows_its_server: bool = True
    a_server_is_known_by_its_process: bool = True
    a_server_is_known_by_its_reign: bool = True
    an_adoption_names_the_server: bool = True
    an_incarnation_only_rises: bool = True
    a_shard_without_marker_says_so: bool = True
    a_push_begins_at_the_fence: bool = True
    a_duplicate_touches_nothing: bool = True
    a_push_names_its_owner: bool = True
    rows_and_fence_move_in_one_step: bool = True
    a_home_push_brings_its_blob: bool = True
    # An owner.
    a_take_brings_the_blob: bool = True
    a_batch_is_cut_at_every_fence: bool = True
    a_shard_without_rows_is_pushed_to: bool = True
    only_what_the_home_shard_applies_counts: bool = True
    dead_letters_are_acknowledged_before_the_push: bool = True
    a_closed_evaluation_waits_in_the_blob: bool = True
    a_window_is_read_back: bool = True
    what_was_refused_is_in_no_window: bool = True
    an_idle_owner_looks_again: bool = True
    a_learner_follows_the_layout: bool = True
    # The feed.
    an_incarnation_begins_with_an_image: bool = True
    rows_and_version_come_in_one_call: bool = True
    a_log_that_does_not_reach_back_says_so: bool = True
    a_lower_incarnation_is_dropped: bool = True
    a_higher_incarnation_needs_an_image: bool = True
    an_image_replaces_all_rows: bool = True
    what_is_known_is_skipped: bool = True
    a_gap_resyncs: bool = True
    an_older_layout_is_dropped: bool = True
    # Snapshots, restore, another number of shards.
    a_reading_stays_in_one_incarnation: bool = True
    a_reading_is_completed_by_changes: bool = True
    rows_and_fences_come_in_one_call: bool = True
    a_snapshot_has_the_newest_claim: bool = True
    a_restore_finds_no_marker: bool = True
    staged_rows_carry_the_lease: bool = True
    staged_rows_are_counted: bool = True
    a_restore_brings_blobs: bool = True
    fences_agree_before_a_reshard: bool = True

    def broken(self, rule: str) -> Rules:
        """Return these rules with one broken."""
        return replace(self, **{rule: False})


NAMES = tuple(field.name for field in fields(Rules))
