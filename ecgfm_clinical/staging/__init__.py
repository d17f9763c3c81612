"""Everything that reads or writes SQL: the staging store, its jobs and its outbox."""
