"""What is said, within what time and what becomes of it, when a part that lives raises, hangs, is slow or is killed.

`deploy/RELIABILITY.md` shows this table; `tests/test_fault_matrix.py` holds the two equal, and each cell to its tests.
"""

from tests.helpers.fault_cells import EVERY, LEARNERS, SLOW, WATCH, Row, cell
from tests.helpers.fault_threads import CALLERS, PORTS, SCORING_THREADS, TASKS

_CREW = Row(
    what="`crew`",
    raises=cell(
        "`task.failed`", "at once", "its work goes back", "test_crew.py::test_an_error_of_the_work_itself_is_raised"
    ),
    hangs=cell(
        "`crew.hangs`; `crew.lost` where one ECG does it alone",
        "120 s, or half of `scoring.hang_seconds`",
        "it is killed and another started; the others are scored",
        "test_crew.py::test_a_piece_that_hangs_its_process_is_lost_alone_and_said",
        "test_crew.py::test_a_process_that_hangs_once_costs_nothing",
        "test_crew.py::test_a_crew_ends_though_a_process_hangs",
    ),
    slow=cell(
        "nothing below that time",
        "",
        "few pieces are under way, each answer comes in its place",
        "test_crew.py::test_answers_come_in_order_with_their_segments",
        "test_crew.py::test_only_a_few_pieces_are_under_way",
    ),
    killed=cell(
        "`crew.lost` where one ECG does it alone; while it starts `crew.does-not-start`",
        "at once",
        "another is started, what was in hand is tried again",
        "test_crew.py::test_a_process_that_is_killed_once_costs_nothing",
        "test_crew.py::test_a_piece_that_kills_its_process_is_lost_alone_and_in_its_place",
        "test_crew.py::test_processes_that_are_killed_while_they_start_cost_no_piece",
    ),
)

_CHECKPOINTER = Row(
    what="`checkpointer`",
    raises=cell(
        "`thread.died`; a full or locked file: nothing",
        "at once",
        "the next commit starts it again",
        WATCH + "test_a_checkpointer_that_died_is_started_by_the_next_commit",
        "test_checkpointing.py::test_a_locked_or_missing_file_does_not_end_it",
    ),
    hangs=cell(
        "`thread.hangs`, by the next commit",
        "60 s",
        "commits empty SQLite's log themselves; a stop leaves it behind after 10 s",
        EVERY + "test_a_checkpointer_that_hangs_is_said_once_and_holds_no_stop",
    ),
    slow=cell(
        "alert `store-log-long` where the log grows beyond 1 GB",
        "a look of the alerts",
        "commits empty the log once it is long",
        SLOW + "test_a_checkpointer_that_is_slow_lets_the_log_grow_and_the_alert_tells_it",
        "test_checkpointing.py::test_a_new_file_has_large_pages_and_a_bound_on_its_log",
    ),
    killed=cell(
        "`thread.died`",
        "at once",
        "the next commit starts it again",
        WATCH + "test_a_checkpointer_that_died_is_started_by_the_next_commit",
    ),
)

_SCHEDULER_TEST = WATCH + "test_a_step_that_raises_is_said_without_its_text_and_runs_again"
_SCHEDULER = cell("nothing", "", "nobody needs it: tasks wake by themselves, by the monotonic clock", _SCHEDULER_TEST)
_APSCHEDULER = Row(
    what=r"`APScheduler`, `ThreadPoolExecutor-\d+_\d+`",
    raises=_SCHEDULER,
    hangs=_SCHEDULER,
    slow=_SCHEDULER,
    killed=_SCHEDULER,
)

_ALARM = cell(
    "where each thread stands, on standard error",
    "300 s",
    "the interpreter ends the process with 1, systemd or Docker starts it anew",
    SLOW + "test_a_watch_that_fails_is_said_and_its_process_ends",
    WATCH + "test_the_alarm_ends_a_process_whose_watch_no_longer_looks",
)
_WATCH = Row(
    what="`watch`",
    raises=_ALARM,
    hangs=_ALARM,
    slow=cell(
        "nothing below 300 s",
        "",
        "it looks later",
        SLOW + "test_a_watch_that_is_slow_ends_nothing",
    ),
    killed=_ALARM,
)

_PROCESS = Row(
    what="`service`",
    raises=cell(
        "one sentence on standard error",
        "at once",
        "exits with 1 or 2; systemd or Docker starts it anew",
        "test_service.py::test_without_its_table_the_role_says_what_to_add",
    ),
    hangs=cell(
        "`process.silent` by every other process, in `status`",
        "60 s",
        "systemd's watchdog after 120 s; what it held is left to others",
        WATCH + "test_a_process_that_gives_no_sign_is_said_by_another",
    ),
    slow=cell(
        "nothing below 60 s",
        "",
        "its leases are prolonged every 10 s and last `scoring.lease_seconds`",
        SLOW + "test_a_process_that_is_slow_is_silent_to_nobody_and_keeps_its_work",
        WATCH + "test_a_lease_shorter_than_the_signs_of_life_is_refused",
    ),
    killed=cell(
        "`process.gone`, in `status`",
        "10 s",
        "systemd or Docker starts it anew; others take its work over at once",
        WATCH + "test_a_process_that_gives_no_sign_is_said_by_another",
        "test_faults.py::test_an_ecg_that_kills_the_worker_process_fails_alone",
        "test_kill_campaign.py::test_nothing_is_lost_doubled_or_reordered_whoever_dies",
    ),
)

_PDF = Row(
    what="`words of a PDF` (a process)",
    raises=cell(
        "the document's reason",
        "at once",
        "kept without words",
        "test_pdf_words.py::test_what_cannot_be_read_has_its_reason",
        "test_pdf_words.py::test_a_reader_that_fails_is_the_documents_reason",
    ),
    hangs=cell(
        "the document's reason",
        "10 s",
        "killed, kept without words",
        "test_pdf_words.py::test_one_that_takes_too_much_memory_or_time_takes_nothing_down",
        "test_pdf_words.py::test_a_reader_that_fails_is_the_documents_reason",
    ),
    slow=cell(
        "nothing below 10 s",
        "",
        "two at a time, the others wait",
        "test_pdf_words.py::test_a_slow_one_keeps_a_third_waiting_and_it_is_read_then",
    ),
    killed=cell(
        "the document's reason",
        "at once",
        "kept without words",
        "test_pdf_words.py::test_a_reader_that_fails_is_the_documents_reason",
    ),
)

_PROGRAM_TEST = EVERY + "test_a_program_that_is_to_tell_an_alert_and_fails_has_not_told_it"
_OTHERS_TEST = "test_conditions.py::test_a_channel_that_does_not_answer_is_itself_told_by_the_others"
_CHANNEL = Row(
    what="`channel` (a program, mail server or webhook of alerts)",
    raises=cell(
        "`alert.not-told`; the alert `channel-failing` by the others",
        "at once",
        "told again at the next look",
        _PROGRAM_TEST,
        _OTHERS_TEST,
        "test_conditions.py::test_a_channel_that_breaks_in_an_unforeseen_way_keeps_no_other_from_telling",
    ),
    hangs=cell("as where it raises", "20 s", "a program is killed; told again", _PROGRAM_TEST),
    slow=cell(
        "nothing below 20 s",
        "",
        "the other channels are told after it",
        SLOW + "test_a_channel_that_is_slow_is_waited_for_and_the_others_are_told_after_it",
    ),
    killed=cell("as where it raises", "at once", "told again at the next look", _PROGRAM_TEST),
)

_BACKFILL_KILLED = "test_kills.py::test_a_process_that_reads_and_is_killed_costs_nothing"
_BACKFILL = Row(
    what="`backfill` (its processes, and those on Ray)",
    raises=cell(
        "the file in the list of what was left out; a fault of all ends the run with 1",
        "at once",
        "the next run goes on where it stopped",
        "test_kills.py::test_a_full_disk_is_said_and_gone_on_from",
    ),
    hangs=cell(
        "`crew.hangs`; a cluster: the run does not begin",
        "120 s; 20 s",
        "as `crew`",
        "test_crew.py::test_a_piece_that_hangs_its_process_is_lost_alone_and_said",
        "test_on_ray.py::test_a_cluster_that_does_not_answer_is_said",
    ),
    slow=cell("the progress of the run", "", "it takes longer", "test_crew.py::test_only_a_few_pieces_are_under_way"),
    killed=cell(
        "an exit status; of a process that reads, nothing",
        "at once",
        "a repeat completes it to the same bytes",
        _BACKFILL_KILLED,
        "test_kills.py::test_killed_at_any_step_a_repeat_completes_it_to_the_same_bytes",
        "test_on_ray.py::test_a_cluster_that_loses_a_node_writes_the_bytes_of_one_machine",
    ),
)

_LEARNING = (
    "`retrain`, `evaluate`, `learning-curve`, `drift`, `model recalibrate`, `model shift`, `cohort export`, `pretrain` "
    "and `demo-retrain`"
)
_RETRAIN = Row(
    what=_LEARNING + " (processes that a person or a timer starts)",
    raises=cell(
        "one sentence, exit status 1",
        "at once",
        "nothing is registered or promoted; run it again",
        "test_commands.py::test_what_cannot_be_done_is_one_sentence",
        "test_retraining.py::test_a_full_disk_is_said_and_the_run_goes_on_later",
        LEARNERS + "test_one_that_raises_is_missed_by_nobody",
    ),
    hangs=cell(
        "where each thread stands, on standard error; of those on a store `status`, `task-failing`",
        "`attention.learning_hours`; 2 h for the others",
        "not ended, for a long step looks alike; a person or its unit ends it, a repeat goes on from what was kept",
        LEARNERS + "test_a_retraining_without_progress_needs_a_person_until_it_gets_on",
        LEARNERS + "test_the_command_itself_is_told_by_status_and_its_dates_are_not_moved_by_a_clock_that_jumps",
        LEARNERS + "test_every_command_that_learns_on_the_store_is_known_there",
        LEARNERS + "test_standard_error_says_where_a_command_hangs_and_the_command_is_not_ended",
        "test_train.py::test_an_interrupted_run_ends_where_an_uninterrupted_one_ends",
    ),
    slow=cell(
        "its progress; nothing below that time",
        "",
        "the service goes on meanwhile",
        LEARNERS + "test_a_retraining_without_progress_needs_a_person_until_it_gets_on",
        LEARNERS + "test_a_service_goes_on_beside_it_and_sweeps_what_was_killed",
    ),
    killed=cell(
        "an exit status",
        "at once",
        "a repeat goes on from what was kept",
        LEARNERS + "test_one_that_is_gone_is_told_by_nobody_and_swept_away",
        "test_commands.py::test_one_that_is_killed_leaves_no_candidate_and_its_repeat_goes_on",
        "test_train.py::test_embeddings_are_computed_once_and_a_killed_run_goes_on",
        "test_pretraining_data.py::test_an_interrupted_preparation_goes_on_where_it_stopped",
    ),
)

_DEMO_TEST = "test_hospital.py::test_a_demo_in_which_nothing_moves_says_so_and_a_slow_one_goes_on"
_DEMO = Row(
    what="`demo` (a process that a person starts)",
    raises=cell(
        "one sentence, exit status 1",
        "at once",
        "its folder is left to look at",
        "test_deliveries.py::test_a_folder_without_files_is_refused_in_one_sentence",
    ),
    hangs=cell("one sentence, exit status 1", "300 s without a move", "its folder is left to look at", _DEMO_TEST),
    slow=cell("its progress; nothing below 300 s", "", "it takes longer", _DEMO_TEST),
    killed=cell(
        "an exit status",
        "at once",
        "what it made stays in its folder, the next one makes its own",
        "test_hospital.py::test_one_that_is_killed_takes_its_processes_along_and_keeps_what_it_made",
        "test_hospital.py::test_an_earlier_demo_is_not_overwritten",
    ),
)

MATRIX: tuple[Row, ...] = (
    TASKS,
    PORTS,
    CALLERS,
    SCORING_THREADS,
    _CREW,
    _CHECKPOINTER,
    _APSCHEDULER,
    _WATCH,
    _PROCESS,
    _PDF,
    _CHANNEL,
    _BACKFILL,
    _RETRAIN,
    _DEMO,
)


def page() -> str:
    """The table as RELIABILITY.md shows it."""
    lines = ["| what lives | raises | hangs | slow | killed, or its thread dies |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join((row.what, *(one.text for one in row.cells)))} |" for row in MATRIX]
    return "\n".join(lines)
