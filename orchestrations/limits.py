"""Every hard limit in one place, each with its unit and its reason."""

INSTANCE_ID_LENGTH = 256  # characters; fits an index row on every database
NAME_LENGTH = 256  # characters, of functions and events
PATTERN_STARS = 5  # in one pattern of names; each is one more search through every name that is compared
PATTERN_NAMES = 1_000  # of a task hub, which patterns that begin with * are compared with; of more, row by row
HUB_LENGTH = 45  # characters, as in Durable Functions
BUILD_LENGTH = 100  # characters of the name of a build that a worker tells; the rest is cut off
REASON_LENGTH = 2_000  # characters; reasons are shown whole on one screen
VERSION_LENGTH = 64  # characters, as the column
IDEMPOTENCY_KEY_LENGTH = 190  # characters; the column has ten more for the prefix that tells senders apart
IDEMPOTENCY_KEY_SECONDS = 48 * 60 * 60  # that an event's key is remembered; clients retry for a day at most
TAGS = 50  # of one instance; they are loaded with every list of instances
TAG_CHARACTERS = 256  # of a tag's name, and of its value
BULK_BATCH = 100  # instances of one step of a bulk job: one transaction of a fraction of a second
BULK_IDS = 1_000  # instances that a bulk job names one by one; a filter chooses any number
BULK_COUNT_CAP = 1_000_000  # instances that a bulk job counts as it begins; the count then takes about 0.2 s
BULK_PREVIEW = 20  # instances that a preview names
BULK_PROBLEMS = 10_000  # skipped instances, and as many failed ones, of which a bulk job keeps why
BULK_JOBS_KEPT = 1_000  # ended bulk jobs of a task hub; older ones go, the audit trail stays

PAYLOAD_BYTES = 10 * 1024 * 1024  # one input, output or event; above this a file store is the right place
LARGE_PAYLOAD_BYTES = 256 * 1024  # a longer payload becomes a file; rows of this size still move quickly
MEMBER_BYTES = 1024 * 1024  # of a member of a request that is no payload; as Python objects it is forty times as much
PAYLOAD_DEPTH = 64  # nested arrays and objects; decoders recurse
NUMBER_DIGITS = 4_300  # of one number, with its point and exponent; Python converts no longer integer
CUSTOM_STATUS_BYTES = 16 * 1024  # UTF-16 bytes, unless the setting says otherwise; every status request loads it
HEARTBEAT_DETAILS_BYTES = 16 * 1024  # of one activity; every worker's heartbeat writes them again

QUESTION_BYTES = 64 * 1024  # characters of a question to people beside its form; inboxes and pages load them
NOTICE_RECIPIENTS = 200  # people told of one question by one occasion; more are a mailing list
LINK_DAYS = 30  # that the link of a message to a person works at most, where its question has no earlier deadline
LINK_CODES = 5  # wrong codes that may be typed under one link; a million of them are possible
QUORUM = 100  # votes that a question to people may ask for

# Ten, where Durable Task's proposal for poison messages has twenty: the rests double, so that the ten runs above these
# would take almost two hours more and kill ten more workers, to learn nothing that ten deaths in a row leave open.
DISPATCH_ATTEMPTS = 10  # of work that kills its worker, unless the setting says otherwise: some ten minutes in all
EPISODE_ACTIONS = 100_000  # actions one episode may decide; beyond it is a loop without a wait
HISTORY_EVENTS_WARNING = 10_000  # events; replay of a cold instance takes noticeable time from here
HISTORY_EVENTS = 50_000  # events of one execution; continue_as_new is the remedy

STACK_TRACE_CHARACTERS = 8_000  # kept of a traceback: the innermost frames
FAILURE_MESSAGE_CHARACTERS = 4_000
FAILURE_PROPERTIES_BYTES = 8_000  # of one failure, as JSON
FAILURE_CHAIN = 16  # causes kept of one failure
FAILURES = 64  # kept of one failure in all, with its causes and the members of groups

LIST_PAGE = 50  # rows of a list where the caller names no number
INSTANCES_EXPORTED = 100_000  # in one file of the list; it is sent while it is read
LIST_PAGE_MAXIMUM = 200  # rows of a list whatever the caller asks for
COUNT_CAP = 10_000  # rows counted for a filter; beyond it the page says "10,000+" within about a millisecond
COUNTED_NAMES = 200  # orchestrators that one count tells apart, each with an indexed count of its own
HISTORY_PAGE = 200  # history events of one page
HISTORY_PAGE_BYTES = PAYLOAD_BYTES  # of the payloads of one page; the next page has the rest
HISTORY_PREVIEW_CHARACTERS = 500  # of an event's payload, shown in a page of history
STUCK_SCANNED = 1_000  # pieces of waiting work looked at for instances that nobody takes up
CODE_SCANNED = 500  # pieces of waiting work looked at for code that no worker has
HISTOGRAM_ROWS = 100_000  # instances that a histogram counts one by one; beyond it takes the counts by minute
SLOWEST_SAMPLED = 2_000  # instances that ended last, looked at for how long orchestrators take
LIVE_SAMPLED = 20_000  # live instances looked at for how many run of each orchestrator
ERRORS_SAMPLED = 1_000  # failures of an orchestrator looked at for their kinds
GRAPH_INSTANCES = 50  # newest instances of an orchestrator whose calls make its call graph
GRAPH_EVENTS = 400  # first history events of each of them
GRAPH_ORCHESTRATORS = 12  # in one call graph
HUBS_SHOWN = 100  # task hubs in one list
COUNT_LAG_SECONDS = 60.0  # before an end is added to the counts by the minute; no commit is open for longer
AUDIT_EXPORTED = 100_000  # acts in one export of the audit trail; a filter narrows what is more
STATUSES_BY_QUERY = 1_000  # snapshots with payloads that one client call returns
HTTP_BODY_BYTES = 1024 * 1024  # of an answer to an HTTP call; it becomes a part of the history
HTTP_REDIRECTS = 5  # followed by one request; each is a hop that is checked anew
HTTP_POLL_SECONDS = 1.0  # least time between two polls; a server that names less would fill the history
HTTP_WAIT_SECONDS = 230.0  # that one HTTP request may wait for an instance; below the usual limits of proxies
CAPABILITY_SECONDS = 24 * 60 * 60  # that a management link works: as long as somebody may watch one instance
CAPABILITY_CLOCK_SECONDS = 60.0  # by which the clocks of a web host and of the database may differ
STRAY_FILE_SECONDS = 24 * 60 * 60  # age at which a file that no row names is swept; no transaction lasts a day
PURGED_BY_REQUEST = 10_000  # instances that one HTTP request deletes; the answer says how many, and it may be repeated
FORM_FIELDS = 50  # of one form on each level; a person fills them in
FORM_ROWS = 100  # of one list in a form; longer lists are uploaded as a file
FORM_CHOICES = 1_000  # of one field, kept with the question
FORM_NUMBER_DIGITS = 60  # of a decimal number; an exponent of a million would be written out somewhere
ANSWER_FILE_BYTES = 10 * 1024 * 1024  # of one file that is sent with an answer
WEBHOOK_BODY_BYTES = 1024 * 1024  # of an incoming request; what is larger belongs into a file store
WEBHOOK_TOLERANCE_SECONDS = 5 * 60  # by which an incoming timestamp may differ from now, as Standard Webhooks has it
WEBHOOK_RECEIPT_SECONDS = 48 * 60 * 60  # that an incoming message's id is remembered, where its age is checked too
WEBHOOK_UNDATED_RECEIPT_SECONDS = 90 * 24 * 60 * 60  # the same, where the sender signs no time
WEBHOOK_NAME_LENGTH = 100  # characters, of a webhook's name and of the end of its address
WEBHOOK_URL_LENGTH = 2_000  # characters; what proxies and servers take
WEBHOOK_TIMEOUT_SECONDS = 15.0  # for one delivery; the specification recommends 15 to 30
WEBHOOK_PAYLOAD_BYTES = 256 * 1024  # of an input or output that is sent along; a larger one is left out
WEBHOOK_FAILING_SECONDS = 3 * 24 * 60 * 60  # of nothing but failures, after which an address is disabled
WEBHOOK_OVERLAP_SECONDS = 24 * 60 * 60  # that the secret before the present one counts too
DEAD_LETTER_SECONDS = 90 * 24 * 60 * 60  # that work which was given up is kept to be put back
SIGNALS_WAITING = 10_000  # transitions of one process that wait for receivers; beyond it they are dropped
NEWEST_ROWS = 100_000  # that a filter of the admin looks at where no index helps: some 50 ms
ACTED_ON_AT_ONCE = 500  # instances that one action of the admin goes through in one request
STREAM_SECONDS = 300  # a stream of server-sent events; then the client comes again, and is asked who it is
STREAMS = 1_000  # of instances' events that one web process serves at a time; each holds memory and a socket
