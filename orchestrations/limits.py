"""Every hard limit in one place, each with its unit and its reason."""

INSTANCE_ID_LENGTH = 256  # characters; fits an index row on every database
NAME_LENGTH = 256  # characters, of functions and events
HUB_LENGTH = 45  # characters, as in Durable Functions
REASON_LENGTH = 2_000  # characters; reasons are shown whole on one screen

PAYLOAD_BYTES = 10 * 1024 * 1024  # one input, output or event; above this a file store is the right place
PAYLOAD_DEPTH = 64  # nested arrays and objects; decoders recurse
CUSTOM_STATUS_BYTES = 16 * 1024  # UTF-16 bytes, as in Durable Functions; it is loaded by every status request

EPISODE_ACTIONS = 100_000  # actions one episode may decide; beyond it is a loop without a wait
HISTORY_EVENTS_WARNING = 10_000  # events; replay of a cold instance takes noticeable time from here
HISTORY_EVENTS = 50_000  # events of one execution; continue_as_new is the remedy

DISPATCH_ATTEMPTS = 10  # times that work which kills its worker is tried before it counts as poison
STACK_TRACE_CHARACTERS = 8_000  # kept of a traceback: the innermost frames
FAILURE_MESSAGE_CHARACTERS = 4_000
FAILURE_CHAIN = 16  # causes kept of one failure
