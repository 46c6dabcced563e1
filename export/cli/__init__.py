"""The command line; exit codes: 0 success, 1 a negative answer, 2 a user's mistake, 70 a bug."""

INTERRUPTED = 130  # as shells do: 128 plus the signal's number
CLOSED_PIPE = 141  # as shells do: 128 plus the number of SIGPIPE, which Windows lacks
