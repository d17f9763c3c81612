"""What is said, within what time and what becomes of it, when a part that lives raises, hangs, is slow or is killed.

`deploy/RELIABILITY.md` shows this table; `tests/test_fault_matrix.py` holds the two equal, and each cell to its tests.
"""

from dataclasses import dataclass

WATCH = "test_watch.py::"
EVERY = "test_every_fault.py::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One fault in one part."""

    said: str  #: and where; what is needed by nobody is said by nobody
    within: str
    then: str  #: by whom it is tried again, started anew or taken out
    tried: tuple[str, ...]  #: `file::test`

    @property
    def text(self) -> str:
        """As the page shows it."""
        return "; ".join(filter(None, (self.said, self.within, self.then)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thread, task or process."""

    what: str  #: names of its threads, as `What is watched` of LIMITS.md has them
    raises: Cell
    hangs: Cell
    slow: Cell
    killed: Cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (self.raises, self.hangs, self.slow, self.killed)


def cell(said: str, within: str, then: str, *tried: str) -> Cell:
    """A cell in one line."""
    return Cell(said=said, within=within, then=then, tried=tried)


ENDS = "the process ends with 70, systemd or Docker starts it anew"

_TASKS = Row(
    what="`pulse`, `listen`, `score`, `shadow`, `saliency`, `pull NAME`, `report NAME`, `ports`, `retention`, "
    "`alerts`, `audit heads`, `audit messages`, `callers`, `sign-ins`, `push of metrics`",
    raises=cell(
        "`task.failed`, in `status` after three",
        "at once",
        "itself tries again, after 60 s at the latest",
        WATCH + "test_every_task_of_a_service_survives_what_nobody_foresaw",
        WATCH + "test_a_task_that_fails_again_and_again_is_told_to_the_others",
    ),
    hangs=cell(
        "`task.hangs`, in `status`",
        "`service.hang_seconds`; while a model answers `scoring.hang_seconds`",
        ENDS,
        WATCH + "test_every_task_of_a_service_that_hangs_is_said_and_the_process_ends",
        WATCH + "test_a_predictor_that_hangs_costs_its_work_an_attempt_and_ends_the_process",
    ),
    slow=cell(
        "nothing: it is no fault below the time for a hang",
        "",
        "all others go on meanwhile; what waits too long is in `status`",
        EVERY + "test_slow_tasks_keep_no_other_from_running_and_are_no_fault",
        "test_limits_hall.py::test_a_result_unsent_for_too_long_needs_a_person",
    ),
    killed=cell(
        "`task.died`, `task.restarted`, in `status`",
        "5 s",
        "the watch starts its thread again",
        EVERY + "test_every_task_whose_thread_dies_is_said_and_started_again",
    ),
)

_PORTS = Row(
    what="`mllp-NAME`, `dicom-NAME`, `monitoring`, `web`",
    raises=cell(
        "`thread.died`, `listener.died`, `listener.started`",
        "5 s",
        "the watch opens the port again, under the same number",
        WATCH + "test_a_dicom_port_whose_thread_died_is_opened_again",
        EVERY + "test_the_console_whose_thread_died_is_opened_again_and_one_that_hangs_ends_the_process",
    ),
    hangs=cell(
        "`listener.hangs`",
        "60 s",
        ENDS,
        WATCH + "test_a_port_whose_thread_hangs_ends_the_process",
        EVERY + "test_the_console_whose_thread_died_is_opened_again_and_one_that_hangs_ends_the_process",
    ),
    slow=cell(
        "nothing below 60 s",
        "",
        "callers are held by the system until it comes round",
        "test_busy_ports.py::test_callers_are_held_while_the_accepting_thread_is_busy",
    ),
    killed=cell(
        "`listener.died`, `listener.started`",
        "5 s",
        "the watch opens the port again",
        WATCH + "test_a_port_whose_thread_died_is_opened_again",
        WATCH + "test_the_port_of_monitors_is_opened_again",
    ),
)

_CALLERS = Row(
    what=r"`mllp-NAME-peer`, `AcceptorThread@.+`, `Thread-\d+ \(process_request_thread\)`, "
    r"`Thread-\d+ \(run_reactor\)`, `AnyIO worker thread`",
    raises=cell(
        "`handler.failed`; of an answer to monitors `monitoring.failed`",
        "at once",
        "the sender repeats; a browser or monitor gets a 500",
        WATCH + "test_a_handler_that_raises_is_said_and_one_that_hangs_ends_the_process",
        EVERY + "test_a_page_that_raises_is_said_and_one_that_hangs_ends_the_process",
        EVERY + "test_the_pages_of_the_console_itself_are_watched",
        EVERY + "test_an_answer_to_monitors_that_raises_is_said_and_a_slow_one_keeps_no_other_waiting",
    ),
    hangs=cell(
        "a handler or page: `handler.hangs`; a caller: nothing",
        "`service.hang_seconds`; a caller: the times of the page of bounds",
        f"{ENDS}; a caller's connection ends",
        WATCH + "test_a_handler_that_raises_is_said_and_one_that_hangs_ends_the_process",
        EVERY + "test_a_page_that_raises_is_said_and_one_that_hangs_ends_the_process",
        EVERY + "test_a_monitor_that_asks_byte_by_byte_is_hung_up_on",
        "test_crowd.py::test_a_crowd",
    ),
    slow=cell(
        "AE or 0xA700 to who waits 30 s for a turn",
        "30 s",
        "the others are answered meanwhile",
        "test_listener.py::test_one_slow_message_does_not_stop_the_others",
        EVERY + "test_a_page_that_raises_is_said_and_one_that_hangs_ends_the_process",
        EVERY + "test_an_answer_to_monitors_that_raises_is_said_and_a_slow_one_keeps_no_other_waiting",
    ),
    killed=cell(
        "`thread.died`",
        "at once",
        "its connection ends, its place is free; the sender repeats",
        "test_many_callers.py::test_a_caller_that_breaks_the_protocol_ends_its_connection_and_no_thread_dies",
        WATCH + "test_a_thread_that_ends_by_an_error_is_said_without_its_text",
    ),
)

_SCORING_THREADS = Row(
    what=r"`prepare_\d+`, `network_\d+`, `finish_\d+`",
    raises=cell(
        "the ECG fails alone; of all of a batch `task.failed`",
        "at once",
        "the ECG is an attempt the poorer",
        "test_scoring.py::test_an_ecg_that_cannot_be_prepared_fails_alone",
        "test_scoring.py::test_an_ecg_whose_result_cannot_be_written_fails_alone",
    ),
    hangs=cell(
        "`task.hangs`",
        "`scoring.hang_seconds`",
        ENDS,
        WATCH + "test_a_preparation_that_hangs_in_a_thread_is_said_and_ends_the_process",
    ),
    slow=cell(
        "nothing below `scoring.hang_seconds`",
        "",
        "the task waits for its answer",
        WATCH + "test_a_step_that_hangs_is_said_within_the_time_that_it_gave_itself",
    ),
    killed=cell(
        "what ends one is an answer to its task, as if it raised",
        "at once",
        "as where it raises",
        "test_scoring.py::test_a_poisoned_ecg_fails_alone_with_every_attempt_kept",
    ),
)

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

_ALARM_TEST = WATCH + "test_the_alarm_ends_a_process_whose_watch_no_longer_looks"
_ALARM = cell(
    "where each thread stands, on standard error",
    "300 s",
    "the interpreter ends the process with 1, systemd or Docker starts it anew",
    _ALARM_TEST,
)
_WATCH = Row(
    what="`watch`",
    raises=_ALARM,
    hangs=_ALARM,
    slow=cell(
        "nothing below 300 s",
        "",
        "it looks later",
        _ALARM_TEST,
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

_PDF_TEST = "test_pdf_words.py::test_one_that_takes_too_much_memory_or_time_takes_nothing_down"
_PDF = Row(
    what="`words of a PDF` (a process)",
    raises=cell(
        "the document's reason",
        "at once",
        "kept without words",
        "test_pdf_words.py::test_what_cannot_be_read_has_its_reason",
    ),
    hangs=cell("the document's reason", "10 s", "killed, kept without words", _PDF_TEST),
    slow=cell("nothing below 10 s", "", "two at a time, the others wait", _PDF_TEST),
    killed=cell("the document's reason", "at once", "kept without words", _PDF_TEST),
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
    slow=cell("nothing below 20 s", "", "the other channels are told after it", _PROGRAM_TEST, _OTHERS_TEST),
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

_RETRAIN_TEST = "test_retraining.py::test_an_interrupted_run_goes_on_as_of_its_own_moment"
_RETRAIN = Row(
    what="`retrain` and `pretrain` (processes that a person or a timer starts)",
    raises=cell("one sentence, exit status 1", "at once", "nothing is promoted; run it again", _RETRAIN_TEST),
    hangs=cell(
        "nothing of ours: the unit's or job's own time limit",
        "",
        "a repeat goes on from what was kept",
        "test_train.py::test_an_interrupted_run_ends_where_an_uninterrupted_one_ends",
    ),
    slow=cell("its progress", "", "the service goes on meanwhile", _RETRAIN_TEST),
    killed=cell(
        "an exit status",
        "at once",
        "a repeat goes on from what was kept",
        "test_train.py::test_embeddings_are_computed_once_and_a_killed_run_goes_on",
        "test_pretraining_data.py::test_an_interrupted_preparation_goes_on_where_it_stopped",
    ),
)

MATRIX: tuple[Row, ...] = (
    _TASKS,
    _PORTS,
    _CALLERS,
    _SCORING_THREADS,
    _CREW,
    _CHECKPOINTER,
    _APSCHEDULER,
    _WATCH,
    _PROCESS,
    _PDF,
    _CHANNEL,
    _BACKFILL,
    _RETRAIN,
)


def page() -> str:
    """The table as RELIABILITY.md shows it."""
    lines = ["| what lives | raises | hangs | slow | killed, or its thread dies |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join((row.what, *(one.text for one in row.cells)))} |" for row in MATRIX]
    return "\n".join(lines)
