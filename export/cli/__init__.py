"""The command line; it ends with 0 for done, 1 for a no, 2 for a user's mistake, 70 for a bug."""

INTERRUPTED = 130  # as shells have it: 128 and the number of the signal
CLOSED_PIPE = 141  # as shells have it: 128 and the number of SIGPIPE, which Windows lacks
