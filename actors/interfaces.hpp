// Every actor's interface on one page. What a message does stands above it; errors are those of core/error.hpp inside
// caf::error (from_caf gets them back). Who asks from outside sets a finite timeout; inside a store, whoever is asked keeps the
// time (docs/design.md, "Actors").
#pragma once

#include "actors/messages.hpp"

namespace mutant {

using caf::reacts_to;
using caf::replies_to;

// Keeps pads: what a node offers to the network (docs/format.md, "Node protocol").
using node_interface_actor = caf::typed_actor<
    // Stores a record by the write rule (docs/format.md, "What a pad store promises"); answers when it is durable.
    // stale_counter, pad_conflict (detail: stored counter), store_full, overloaded, corrupt_record, bad_signature
    replies_to<put_atom, bytes>::with<done>,
    // The whole record. pad_not_found
    replies_to<get_atom, pad_query>::with<bytes>,
    // The record's 160-byte header. pad_not_found. What it says counts only after verify_head.
    replies_to<head_atom, pad_query>::with<bytes>,
    // Removes a pad altogether; takes a blank record of it with a counter above the stored one. Absent is done.
    replies_to<erase_atom, bytes>::with<done>,
    replies_to<stats_atom>::with<pad_store_stats>>;

// The same in this process: an engine, the way to a node elsewhere, or a pool of workers in front of either.
using pad_store_actor = node_interface_actor::extend<
    // A put that makes room or leads to it (the commit of a removal, a root, a blank record): it may use what the store keeps
    // in reserve for these, as far as it keeps any.
    replies_to<put_atom, room_atom, bytes>::with<done>,
    // Gives disk space that nothing uses back to the system; how many bytes. io_error: something that was to be wiped could not
    // be. A store that does so by itself, or is elsewhere, says 0.
    replies_to<trim_atom>::with<std::uint64_t>>;

// CPU-bound work, off the scheduler's threads. Holds the owner's keys. A pool of them has the same interface.
using crypto_worker_actor = caf::typed_actor<
    replies_to<seal_atom, seal_chunk_job>::with<sealed_chunk>,
    replies_to<seal_atom, seal_list>::with<sealed_list>,
    replies_to<compare_atom, compare_chunk_job>::with<fingerprint>,
    replies_to<pull_atom, read_job>::with<bytes>,
    // The plaintext wanted. decrypt_failed, corrupt_record, pad_conflict
    replies_to<open_atom, open_chunk_job>::with<bytes>,
    replies_to<address_atom, address_job>::with<address_list>,
    replies_to<seal_atom, seal_commit_job>::with<bytes>,
    replies_to<seal_atom, seal_part_job>::with<sealed_part>,
    replies_to<seal_atom, seal_root_job>::with<bytes>,
    replies_to<seal_atom, seal_blank_job>::with<record_list>,
    // Hash and signature are verified. index_corrupt: not authentic, malformed, or another commit or part than asked for.
    // pad_conflict: another counter (detail), well signed. unsupported: a root of format 1.
    replies_to<open_atom, open_commit_job>::with<opened_commit>,
    replies_to<open_atom, open_part_job>::with<opened_part>,
    replies_to<open_atom, open_root_job>::with<opened_root>,
    replies_to<cut_atom, cut_part_job>::with<part_ptr>,
    replies_to<cut_atom, cut_delta_job>::with<part_list>,
    replies_to<drop_atom, drop_job>::with<done>,
    // Files of this machine. index_corrupt: damaged, or another owner's. io_error, store_full, access_denied
    replies_to<open_atom, open_cache_job>::with<opened_cache>,
    replies_to<open_atom, read_cache_job>::with<opened_part>,
    replies_to<seal_atom, save_cache_job>::with<done>,
    replies_to<note_atom, note_damage_job>::with<done>,
    replies_to<open_atom, read_damage_job>::with<damaged_pads>>;

// Knows which pads were found damaged or missing, so that a put writes them anew. Never fails: what cannot be remembered is
// found again.
using damage_memory_actor = caf::typed_actor<
    // Answers when they are remembered.
    replies_to<note_atom, pad_list>::with<done>,
    replies_to<find_atom>::with<damaged_pads>>;

// Owns the master index; metadata access is ordered by its mailbox.
using index_actor = caf::typed_actor<
    replies_to<find_atom, find_request>::with<found>,
    // Several keys that will get values of one pad: each with a pad, unless it has an unfinished upload or there was trouble.
    replies_to<find_atom, key_list>::with<found_list>,
    // Ends a pin.
    reacts_to<release_atom, std::uint64_t>,
    // Pads to write to, held for the asking actor until it commits them, returns them or goes down.
    replies_to<reserve_atom, std::uint32_t>::with<pad_list>,
    reacts_to<release_atom, returned_pads>,
    // Answers when the commit is durable. key_not_found, key_exists, version_mismatch, pad_conflict, invalid_argument:
    // refused, nothing changed. timeout, unreachable: unknown. Many requests share one log write.
    replies_to<commit_atom, commit_request>::with<commit_result>,
    // Answers when all of them have an outcome, as above.
    replies_to<commit_atom, commit_list>::with<commit_outcomes>,
    replies_to<list_atom, list_request>::with<list_page>,
    replies_to<count_atom>::with<index_stats>,
    // Reads what other writers have committed. With a position: then looks whether the history goes through it.
    // rollback_detected: it does not, or does not come that far. unsupported: the log does not go back that far.
    replies_to<sync_atom>::with<sync_report>,
    replies_to<sync_atom, position>::with<sync_report>,
    // For purge: unused pads, held for the asking actor until it returns them.
    replies_to<survey_atom, survey_request>::with<survey_page>,
    replies_to<claim_atom, claim_request>::with<pad_list>,
    // Erases snapshot parts that no root names (bool: only count them). Answers how many there were.
    replies_to<purge_atom, bool>::with<std::uint64_t>,
    // The root is to say that a reading secret was given away, and says so durably when this is answered: until then it must
    // not be. key_not_found: nothing is stored yet.
    replies_to<share_atom>::with<done>,
    // Answers when this machine's memory of the index is up to date, as far as that is worth its cost.
    replies_to<flush_atom>::with<done>>;

// Writes to files, on threads of their own: a disk that makes them wait keeps no crypto worker. io_error, store_full
using file_writer_actor = caf::typed_actor<replies_to<push_atom, write_job>::with<done>>;

// Runs what takes more than a look into the index or one change of it. The index passes it on, with itself: so it stays as long
// as a request of it is under way.
using operations_actor = caf::typed_actor<
    replies_to<put_atom, put_request, index_actor>::with<put_result>,
    replies_to<get_atom, get_request, index_actor>::with<get_result>,
    replies_to<check_atom, check_request, index_actor>::with<check_result>,
    replies_to<remove_atom, remove_request, index_actor>::with<done>,
    replies_to<stats_atom, index_actor>::with<store_stats>,
    replies_to<purge_atom, purge_request, index_actor>::with<purge_result>,
    reacts_to<cancel_atom, std::uint64_t>>;

// Puts values of one small pad each, many at a time; hands to the operations what is more than that.
using small_puts_actor = caf::typed_actor<
    replies_to<put_atom, put_request, index_actor, operations_actor>::with<put_result>,
    // Those with this cancellation id whose commit is not on its way answer `cancelled`.
    reacts_to<cancel_atom, std::uint64_t>>;

// What a store does that is not of its index alone.
using value_store_actor = caf::typed_actor<
    replies_to<put_atom, put_request>::with<put_result>,
    replies_to<get_atom, get_request>::with<get_result>,
    // What is wrong with a value is in the answer. key_not_found; errors of the store, that say nothing about the value
    replies_to<check_atom, check_request>::with<check_result>,
    // key_not_found, version_mismatch
    replies_to<remove_atom, remove_request>::with<done>,
    replies_to<rename_atom, rename_request>::with<done>,
    // One commit, which copies nothing. key_not_found: a part is gone. version_mismatch, key_exists; invalid_argument: a part
    // lies in the index
    replies_to<assemble_atom, assemble_request>::with<commit_result>,
    // Like list for one key. key_not_found
    replies_to<find_atom, std::string>::with<list_item>,
    replies_to<stats_atom>::with<store_stats>,
    // Finds what crashed uploads and snapshots left and makes it free again; see purge_request.
    replies_to<purge_atom, purge_request>::with<purge_result>,
    // Cancels the running operations with this cancellation id; they answer `cancelled`. Too late for a put whose commit is
    // on its way.
    reacts_to<cancel_atom, std::uint64_t>>;

// What a program embeds: the index, with the operations behind it.
using store_actor = value_store_actor::extend<
    replies_to<list_atom, list_request>::with<list_page>,
    replies_to<sync_atom>::with<sync_report>,
    replies_to<sync_atom, position>::with<sync_report>,
    replies_to<flush_atom>::with<done>>;

}  // namespace mutant
