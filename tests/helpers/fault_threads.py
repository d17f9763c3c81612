"""The rows of the table of faults (`fault_matrix`) for tasks, ports, callers and the threads that score."""

from tests.helpers.fault_cells import ENDS, EVERY, WATCH, Row, cell

TASKS = Row(
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

PORTS = Row(
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

CALLERS = Row(
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

SCORING_THREADS = Row(
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
