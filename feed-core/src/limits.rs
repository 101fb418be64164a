//! Every limit of Feedway, in one place, with its unit in its name.
//!
//! What comes from outside is bounded before it is believed: text, events, documents, time, redirects.

/// Longest feed name, in bytes.
pub const FEED_NAME_BYTES_MAX: usize = 64;
/// Longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 255;
/// Longest event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 255;
/// Longest `source`, `dataschema`, `datacontenttype`, `traceparent` or `correlationid`, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// Most extension attributes that one event may carry.
pub const EXTENSIONS_MAX: usize = 16;
/// Longest name of an extension attribute, in bytes (CloudEvents 1.0 recommends 20 at most).
pub const EXTENSION_NAME_BYTES_MAX: usize = 20;
/// Longest name of a subscription, in bytes.
pub const SUBSCRIPTION_NAME_BYTES_MAX: usize = 128;

/// Highest position in a feed: positions share a 64-bit key with the feed's number.
pub const POSITION_MAX: u64 = (1 << 40) - 1;
/// Highest version of a subject: CloudEvents integers have 31 bits.
pub const VERSION_MAX: u32 = i32::MAX as u32;
/// Most types, and most subjects, that one filter may name.
pub const FILTER_VALUES_MAX: usize = 16;
/// Most events that one request looks at for a filter.
pub const SCAN_EVENTS_MAX: u32 = 10_000;
/// Most events that one append may carry.
pub const EVENTS_PER_APPEND_MAX: usize = 1_000;

/// Events in a page, unless the feed was created with another capacity.
pub const PAGE_CAPACITY_DEFAULT: u32 = 100;
/// Most events that a page may be created to hold.
pub const PAGE_CAPACITY_MAX: u32 = 10_000;
/// Largest event (data and attributes), in bytes, unless the feed was created with another limit.
pub const EVENT_BYTES_DEFAULT: u32 = 65_536;
/// Capacity times largest event of any feed, in bytes: so that every client can read every page.
pub const PAGE_BYTES_MAX: u64 = 8 << 20;

/// Largest feed document that the client reads, in bytes after decoding. A page of [`PAGE_BYTES_MAX`]
/// grows to six times that when every character has to be escaped, plus the envelopes.
pub const DOCUMENT_BYTES_MAX: usize = 128 << 20;
/// Most events that the client takes from one document.
pub const DOCUMENT_EVENTS_MAX: usize = PAGE_CAPACITY_MAX as usize;
/// Deepest nesting of elements in an Atom document.
pub const XML_DEPTH_MAX: usize = 16;
/// Most attributes of one element in an Atom document.
pub const XML_ATTRIBUTES_MAX: usize = 64;
/// Largest error body that the client reads, in bytes.
pub const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// Longest URL that is followed or served, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// Most redirects that are followed for one document.
pub const REDIRECTS_MAX: usize = 5;
/// Most documents that a reader who catches up has fetched before it needs them, or has on their way.
pub const AHEAD_PAGES_MAX: usize = 32;
/// For how many of them it asks at the same time, at most: each takes a connection.
pub const AHEAD_REQUESTS_MAX: usize = 8;
/// Bytes of such documents, beside the one that comes next, at most. One that is larger than its share is fetched when it
/// is needed.
pub const AHEAD_BYTES_MAX: usize = 16 << 20;
/// Longest time one request of the client may take, in milliseconds.
pub const CLIENT_REQUEST_MS_MAX: u64 = 30_000;
/// Longest time that the client asks a server to wait while there is nothing new, in milliseconds.
pub const CLIENT_WAIT_MS_MAX: u64 = 25_000;
/// Longest `Retry-After` that is honoured, in milliseconds.
pub const RETRY_AFTER_MS_MAX: u64 = 60_000;

/// Largest request body that a service takes, in bytes.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 << 10;
/// Longest time that a service works on one request, in milliseconds.
pub const REQUEST_MS_MAX: u64 = 30_000;
/// How long a feed's end that is known is believed without looking, in milliseconds: commits are signalled at once or within
/// [`WATCH_INTERVAL_MS`], so this is for signals that are lost. For so long a feed is kept in mind that nobody asks for, too.
pub const TIP_MS_MAX: u64 = 1_000;
/// Events of a feed's end that are kept in mind beside those that came last.
pub const TIP_EVENTS_MAX: usize = 200;
/// Their bytes, and those of the documents that were made of them, at most: of each feed, each.
pub const TIP_BYTES_MAX: usize = 1 << 20;
/// Documents that were made of a feed's end and are kept, at most.
pub const TIP_DOCUMENTS_MAX: usize = 32;
/// Longest time that a request may wait for an event, in milliseconds; below [`REQUEST_MS_MAX`], so that it is the
/// waiting that ends and not the request.
pub const WAIT_MS_MAX: u64 = 25_000;
/// Sealed pages that a process keeps in memory as they are sent, in bytes.
pub const PAGE_CACHE_BYTES_MAX: u64 = 64 << 20;
/// After how much silence a peer is asked whether it is still there, in milliseconds.
pub const KEEPALIVE_MS: u64 = 30_000;
/// Time between two such questions, in milliseconds.
pub const KEEPALIVE_INTERVAL_MS: u64 = 10_000;
/// How long a peer may leave what was sent to it unacknowledged, in milliseconds; then its connection ends.
pub const VANISHED_MS_MAX: u64 = 60_000;
/// Requests and event streams that wait at the same time, in one process; fewer than the connections that there may be,
/// so that some are left for those who do not wait.
pub const WAITERS_MAX: usize = 8_000;
/// Consumers that a process remembers of one feed; who was seen least recently goes first.
pub const CONSUMERS_SEEN_MAX: usize = 1_000;
/// How long a consumer is shown after it was seen last, in milliseconds.
pub const CONSUMER_SHOWN_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// After how much silence an event stream says where it is, in milliseconds.
pub const HEARTBEAT_MS: u64 = 15_000;
/// How long the reader of an event stream should wait before it connects again, in milliseconds.
pub const STREAM_RETRY_MS: u64 = 2_000;
/// Most events that one piece of an event stream holds.
pub const STREAM_EVENTS_MAX: u32 = 100;
/// Largest head of a request (the request line and all headers), in bytes.
pub const REQUEST_HEAD_BYTES_MAX: usize = 32 << 10;
/// Most headers of a request.
pub const REQUEST_HEADERS_MAX: usize = 100;
/// Longest time that the head of a request may take, in milliseconds: from its first byte on, and for the first
/// request of a connection from the beginning of the connection on.
pub const REQUEST_HEAD_MS_MAX: u64 = 10_000;
/// Connections of a service that are open at the same time, at most. The limit on open files may lower it.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How long a connection stays open between two requests, in milliseconds.
pub const CONNECTION_IDLE_MS_MAX: u64 = 60_000;
/// Bytes that a connection reads ahead, or collects before it writes them, at most.
pub const CONNECTION_BUFFER_BYTES_MAX: usize = 64 << 10;
/// How long an answer waits for a client that reads nothing of it, in milliseconds.
pub const WRITE_STALL_MS_MAX: u64 = 30_000;
/// How long nothing is accepted after accepting a connection failed, in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 500;
/// Open files that are kept back from connections: for the database, for what is fetched, for the log.
pub const FILES_RESERVED: u64 = 256;
/// How long open requests may take to finish after a stop was asked for, in milliseconds.
pub const DRAIN_MS_MAX: u64 = 10_000;
/// Items in a page of a service's list, unless the request says otherwise.
pub const LIST_ITEMS_DEFAULT: u32 = 50;
/// Most items in a page of a service's list.
pub const LIST_ITEMS_MAX: u32 = 500;
/// How long a browser may keep what it was told of requests from other origins, in seconds.
pub const CORS_MAX_AGE_S: u64 = 3_600;
/// Largest file of bearer tokens, in bytes.
pub const TOKEN_FILE_BYTES_MAX: u64 = 64 << 10;

/// Commands that wait for the writer at most; further callers wait for a place.
pub const WRITE_QUEUE_MAX: usize = 1_024;
/// Commands that share one commit at most.
pub const WRITE_GROUP_MAX: usize = 256;
/// After this time a group takes no further command, in milliseconds (invariant I6 allows 50).
pub const WRITE_GROUP_MS_MAX: u64 = 20;
/// Longest time that one command may use the writer, in milliseconds; then its SQL is interrupted.
pub const WRITE_COMMAND_MS_MAX: u64 = 2_000;
/// How long the writer's thread looks for the next command before it sleeps, in microseconds; only while they follow each
/// other as quickly as that.
pub const WRITE_SPIN_US_MAX: u64 = 60;
/// How long the task of a lone writer looks for its answer before it sleeps, in microseconds; other tasks go on meanwhile.
pub const ANSWER_SPIN_US_MAX: u64 = 300;
/// Feeds whose heads the writer's thread remembers from one append to the next.
pub const FEEDS_REMEMBERED_MAX: usize = 16;
/// Groups that run each command in a savepoint of its own after one had to be undone in a group that did not.
pub const WRITE_CAREFUL_GROUPS: u32 = 64;
/// How long a writer waits for another process that holds the file, in milliseconds.
pub const WRITE_BUSY_MS_MAX: u64 = 10_000;
/// Readers of one SQLite file at most.
pub const READERS_MAX: usize = 4;
/// Longest time that a read may take on SQLite, in milliseconds; then its SQL is interrupted. The WAL cannot be begun anew
/// as long as a read goes on that began before.
pub const READ_MS_MAX: u64 = 10_000;
/// Pages of the WAL that are not in the file yet, after which they are brought there beside the writer.
pub const CHECKPOINT_PAGES: u32 = 1_000;
/// Pages of the WAL that are not in the file yet, which the writer brings there itself between two commits, in order to
/// begin the WAL anew, at most; unless there are more than [`WAL_PAGES_MAX`] in it.
pub const CHECKPOINT_LAST_PAGES_MAX: u32 = 400;
/// Pages in the WAL after which the writer brings all there itself, however many: 32 MB. Only who reads for long
/// keeps it from being begun anew then.
pub const WAL_PAGES_MAX: u32 = 8_000;
/// To what size the WAL's file is cut when the WAL begins anew and had grown beyond it, in bytes.
pub const WAL_BYTES_KEPT_MAX: u64 = 64 << 20;
/// How long the writer waits for readers in order to begin the WAL anew, in milliseconds.
pub const CHECKPOINT_WAIT_MS_MAX: u64 = 5;
/// The same when the WAL has grown beyond [`WAL_BYTES_WARN`]; once each time that it has doubled.
pub const CHECKPOINT_LONG_WAIT_MS_MAX: u64 = 40;
/// Size of the WAL from which on it is told, in bytes, and again each time that it has doubled.
pub const WAL_BYTES_WARN: u64 = 128 << 20;
/// How often a command is tried that met a version conflict.
pub const CONFLICT_TRIES_MAX: u32 = 5;

/// Events that a consumer applies in one transaction at most.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Parked events of one ordering key that are replayed in one transaction at most.
pub const REPLAYED_EVENTS_MAX: usize = 100;
/// After this time a batch takes no further event, in milliseconds (invariant I6 allows 50).
pub const BATCH_MS_MAX: u64 = 20;
/// Time between two polls of a consumer that has caught up, in milliseconds, unless told otherwise or the server waits.
pub const POLL_INTERVAL_MS_DEFAULT: u64 = 100;
/// How long a consumer that has caught up asks the server to wait, in milliseconds.
pub const POLL_WAIT_MS: u64 = 20_000;
/// How long a server that has too many waiters is polled without asking it to wait, in milliseconds.
pub const PLAIN_POLL_MS: u64 = 60_000;
/// Shortest wait after a failed step, in milliseconds, before jitter.
pub const BACKOFF_MS_MIN: u64 = 100;
/// Longest wait after a failed step, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// How often an event is tried whose handler names its error lasting, before it is parked.
pub const LASTING_TRIES_MAX: u32 = 5;
/// Ordering keys of one subscription that have parked events at the same time, at most; then it halts.
pub const PARKED_KEYS_MAX: usize = 1_000;
/// Events of one subscription that are parked or wait behind a parked one, at most; then it halts.
pub const PARKED_EVENTS_MAX: usize = 10_000;
/// Longest ordering key, in bytes; what is longer is cut.
pub const ORDERING_KEY_BYTES_MAX: usize = 255;
/// Longest error text that is kept of an event or a subscription, in bytes; what is longer is cut.
pub const ERROR_BYTES_MAX: usize = 2_048;
/// Longest name of an operator, and longest reason that one gives, in bytes.
pub const OPERATOR_TEXT_BYTES_MAX: usize = 500;
/// Ids that an inbox keeps, in positions behind the cursor.
pub const INBOX_EVENTS_MAX: u64 = 100_000;
/// How long a lease of a subscription lasts, in milliseconds, unless told otherwise.
pub const LEASE_MS_DEFAULT: u64 = 10_000;
/// How often a consumer looks whether it still holds its subscription when others commit to its database, and how
/// often one without the lease looks whether it may take it, in milliseconds.
pub const LEASE_LOOK_MS: u64 = 100;
/// Longest time between two such looks, in milliseconds, when nothing is heard of commits.
pub const LEASE_LOOK_MS_MAX: u64 = 1_000;
/// Partitions of one subscription, at most.
pub const PARTITIONS_MAX: u32 = 64;
/// Instances among which the partitions of one subscription are shared, at most; one more works on none.
pub const MEMBERS_MAX: u32 = 1_000;
/// Longest time for giving the lease back when a consumer stops, in milliseconds.
pub const RELEASE_MS_MAX: u64 = 2_000;
/// Longest time that a handler's call to another system may take, in milliseconds.
pub const CALL_MS_MAX: u64 = 10_000;
/// Longest time that a request may wait for a read model, in milliseconds; below [`REQUEST_MS_MAX`].
pub const READ_MODEL_WAIT_MS_MAX: u64 = 10_000;
/// Requests that wait for a read model at the same time, in one process: each looks at the database again and again.
pub const READ_MODEL_WAITERS_MAX: usize = 64;
/// When to ask again for an event that somebody has to look after first, in seconds.
pub const EVENT_NOT_APPLIED_RETRY_S: u32 = 30;
/// How often another process's commits are looked for while waiting for an event, in milliseconds.
pub const WATCH_INTERVAL_MS: u64 = 20;

/// Longest kind of a timer, in bytes.
pub const TIMER_KIND_BYTES_MAX: usize = 255;
/// Longest key of a timer, in bytes.
pub const TIMER_KEY_BYTES_MAX: usize = 255;
/// Largest data of a timer, in bytes of JSON.
pub const TIMER_DATA_BYTES_MAX: usize = 4_096;
/// Timers that are fired in one transaction at most; after [`BATCH_MS_MAX`] it takes no further one.
pub const TIMERS_PER_BATCH_MAX: u32 = 100;
/// Longest time between two looks for timers that are due, in milliseconds.
pub const TIMER_LOOK_MS_MAX: u64 = 1_000;
/// Time between two looks for timers that are due and have no handler, in milliseconds.
pub const TIMER_UNHANDLED_LOOK_MS: u64 = 60_000;
/// Kinds of timers among which those without a handler are looked for, at most.
pub const TIMER_KINDS_MAX: usize = 1_000;

/// Connections of one process that write to PostgreSQL, unless its URL says `writers=`.
pub const POSTGRES_WRITERS_MAX: usize = 16;
/// Connections of one process that read from PostgreSQL, unless its URL says `readers=`.
pub const POSTGRES_READERS_MAX: usize = 4;
/// Longest time for connecting to PostgreSQL, or for getting a connection from a pool, in milliseconds.
pub const POSTGRES_CONNECT_MS_MAX: u64 = 5_000;
/// For how long a PostgreSQL server that said nothing is tried behind the others of its URL, in milliseconds.
pub const POSTGRES_SILENT_MS: u64 = 30_000;
/// How long a PostgreSQL server may leave what was sent to it unacknowledged, in milliseconds; then its connection ends.
pub const POSTGRES_VANISHED_MS_MAX: u64 = 10_000;
/// How long is waited for what PostgreSQL says to one statement, in milliseconds: longer than the statement may take, so
/// that its own word comes first.
pub const POSTGRES_ANSWER_MS_MAX: u64 = 6_000;
/// Longest time that one statement may take on PostgreSQL, in milliseconds.
pub const POSTGRES_STATEMENT_MS_MAX: u64 = 5_000;
/// How long a statement waits for another transaction on PostgreSQL, in milliseconds; then its work is run again.
pub const POSTGRES_LOCK_MS_MAX: u64 = 2_000;
/// After how much silence inside a transaction PostgreSQL ends the session, in milliseconds; shorter than a lease.
pub const POSTGRES_IDLE_IN_TRANSACTION_MS_MAX: u64 = 5_000;
/// Longest time that the work of one transaction may take on PostgreSQL, in milliseconds.
pub const POSTGRES_TRANSACTION_MS_MAX: u64 = 15_000;
/// How often work is run again that another transaction was in the way of.
pub const POSTGRES_RERUNS_MAX: u32 = 10;
/// Longest wait before it is run again for the first time, in milliseconds; before the n-th time n times that.
pub const POSTGRES_RERUN_MS_MAX: u64 = 10;
/// Longest time for migrations, with waiting for another instance's, in milliseconds.
pub const POSTGRES_MIGRATE_MS_MAX: u64 = 600_000;
/// Events that get their positions in one batch at most, unless there is a backlog.
pub const POSTGRES_SEQUENCED_EVENTS: i64 = 5_000;
/// Events that get their positions in one batch of a backlog at most.
pub const POSTGRES_SEQUENCED_EVENTS_MAX: i64 = 100_000;
/// Events from which on a batch is a sign of load: behind it the sequencer rests, so that more of them share the next one.
pub const POSTGRES_SEQUENCER_LOAD_EVENTS: usize = 16;
/// How many times as long as its batches took the sequencer rests under load.
pub const POSTGRES_SEQUENCER_RESTS: u32 = 4;
/// Longest rest of the sequencer, in milliseconds: what an event waits at most under load.
pub const POSTGRES_SEQUENCER_REST_MS_MAX: u64 = 20;
/// Rows of batches that are kept, after which the older ones are deleted.
pub const POSTGRES_SEQUENCER_BATCHES_KEPT: i64 = 1_000;
/// How often it is looked whether somebody committed events who does not run a sequencer, in milliseconds.
pub const POSTGRES_SEQUENCE_LOOK_MS: u64 = 100;
/// How often everybody looks at the feeds without having been notified, in milliseconds.
pub const POSTGRES_LISTEN_LOOK_MS: u64 = 1_000;
/// Longest wait before a lost connection is tried again, in milliseconds.
pub const POSTGRES_RECONNECT_MS_MAX: u64 = 2_000;
/// Threads of one process on which work is polled that runs in transactions of PostgreSQL.
pub const POSTGRES_WORK_THREADS: usize = 2;
/// How often a standby is asked again that is not so far as what was served before.
pub const STANDBY_LOOKS_MAX: u32 = 10;
/// Time between two such looks, in milliseconds.
pub const STANDBY_LOOK_MS: u64 = 20;

/// Rows of a database that is taken over or compared which are on their way at once, at most.
pub const MOVED_BATCH_ROWS_MAX: usize = 2_000;
/// The same in bytes; a single row may be larger.
pub const MOVED_BATCH_BYTES_MAX: usize = 2 << 20;
/// Batches that are read ahead of their writer, from SQLite.
pub const MOVED_BATCHES_AHEAD_MAX: usize = 2;
/// Rows that a service's migrations may have put into one of its tables, in a database that is to be filled.
pub const MOVED_TARGET_ROWS_MAX: u64 = 1_000;
/// How long taking a database over waits for those who write to it, in milliseconds.
pub const MOVED_LOCK_MS_MAX: u64 = 10_000;
/// After how much silence of this program a database that is taken over is let go, in milliseconds.
pub const MOVED_IDLE_MS_MAX: u64 = 600_000;
/// Differences of one feed or table that a comparison names; further ones are counted.
pub const DIFFERENCES_TOLD_MAX: usize = 5;
/// Longest part of a value that a difference shows, in characters.
pub const DIFFERENCE_CHARS_MAX: usize = 80;
