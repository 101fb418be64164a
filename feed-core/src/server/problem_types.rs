//! The types of problems that any service answers with: one table, in the order of their pages.
//!
//! A service adds its own by [`problem_types!`](crate::problem_types).

use http::StatusCode;

use super::problem_type::ProblemType;

crate::problem_types! {
    /// All types of this crate.
    pub static ALL;

    // What a reader of a feed meets.

    /// A cursor that cannot be read.
    pub static CURSOR_MALFORMED = ProblemType {
        slug: "cursor-malformed",
        title: "That is no cursor",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "`after`, `lastEventId` or `Last-Event-ID` has a text that is no cursor. A cursor is one token, \
            `epoch.position.check`, as the feed gave it; `start`, `now`, the id of an event and a bare position are \
            taken too. Most often the token was cut off, put together by hand, or escaped twice.",
        caller: "Halt: trying again with the same text does not help. Give back a cursor exactly as it came, in a \
            `next` link, in the header `Feed-Head`, or as the `id` of an event stream. Begin with `after=start`.",
        operator: "Look at the cursor that the reader has stored. The `detail` repeats what it sent.",
    };

    /// A parameter that is not known, or given twice.
    pub static PARAMETER_UNKNOWN = ProblemType {
        slug: "parameter-unknown",
        title: "There is no such parameter",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "The URL has a parameter that this resource does not know, or has one twice that may stand once. It \
            is refused and not passed over, since a filter with a typing error would otherwise be no filter.",
        caller: "Correct the URL: the `detail` names the parameter and those that are taken.",
        operator: "Nothing; if a reader was updated shortly before, the service may be older than the reader expects.",
    };

    /// A parameter with a value that it cannot have.
    pub static PARAMETER_INVALID = ProblemType {
        slug: "parameter-invalid",
        title: "A parameter has a value that it cannot have",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "The parameter is known, and its value is not one that it can have: no number, out of its range, or \
            no time.",
        caller: "Correct the value: the `detail` names the parameter and what it may be.",
        operator: "Nothing.",
    };

    /// Parameters that do not go together.
    pub static PARAMETER_CONFLICT = ProblemType {
        slug: "parameter-conflict",
        title: "These parameters do not go together",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "Each parameter is right by itself, but they ask for different things: two places to begin at, two \
            times to wait, a filter of the head document, or an end of an event stream.",
        caller: "Leave one of them out: the `detail` says which ones and why.",
        operator: "Nothing.",
    };

    /// A cursor or a page of another history.
    pub static EPOCH_UNKNOWN = ProblemType {
        slug: "epoch-unknown",
        title: "The cursor is from another history",
        statuses: &[StatusCode::CONFLICT, StatusCode::NOT_FOUND],
        happened: "The cursor, or the URL of the page, names an epoch that this feed never had. Either the feed was \
            restored from a backup and a new epoch was opened, so that the reader has seen events that the feed has \
            lost; or the URL leads to another feed than it did before. For a page the status is 404.",
        caller: "Halt, and let a person look. Do not begin again by yourself: effects of lost events may have to stay, \
            or may have to be undone.",
        operator: "Compare `epochs` and `head` in the answer with what the reader has. Find out which events the feed \
            has lost and what the reader did with them; then set the reader's cursor to one of the feed's present \
            history and start the reader again.",
    };

    /// A cursor whose event is another one here.
    pub static CURSOR_DIVERGED = ProblemType {
        slug: "cursor-diverged",
        title: "The cursor names another event",
        statuses: &[StatusCode::CONFLICT],
        happened: "At the cursor's position the feed has another event than the one that the reader saw: the running \
            check differs. The history was changed under the reader, as by a restored backup without a new epoch.",
        caller: "Halt, and let a person look. Nothing behind the cursor can be trusted to follow on from it.",
        operator: "`asked` is the reader's cursor, `found` the feed's at that position. Find the last event that both \
            have, see what the reader did with the ones behind it, open a new epoch in the feed if that was forgotten, \
            and set the reader's cursor by hand.",
    };

    /// A cursor behind the newest event.
    pub static CURSOR_BEYOND_HEAD = ProblemType {
        slug: "cursor-beyond-head",
        title: "The cursor lies beyond the head",
        statuses: &[StatusCode::CONFLICT],
        happened: "The reader has seen a position that this feed has not reached. The feed has lost events, or the URL \
            leads to another feed.",
        caller: "Halt, and let a person look. Waiting does not help: the events that come at these positions will be \
            others.",
        operator: "Check the URL first. If the feed was restored, find out what was lost, open a new epoch, and set \
            the reader's cursor to the feed's `head` or before it.",
    };

    /// What comes next was pruned.
    pub static CURSOR_PRUNED = ProblemType {
        slug: "cursor-pruned",
        title: "That part of the feed was pruned",
        statuses: &[StatusCode::GONE],
        happened: "What the reader would read next is not kept any more.",
        caller: "Halt, and let a person look. `earliest` is the oldest cursor from which the feed can be read; to go \
            on from there is to leave events out.",
        operator: "Find out what the reader has missed and get it from elsewhere, such as a backup or the service's \
            own lists; then set the reader's cursor to `earliest`. Keep events for longer than readers may be down.",
    };

    /// No feed of that name.
    pub static FEED_UNKNOWN = ProblemType {
        slug: "feed-unknown",
        title: "There is no such feed",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "The service publishes no feed of that name. Names are lower case.",
        caller: "Look at `GET /feeds` for those that there are. A reader that followed the feed before tries again \
            later, from the same cursor.",
        operator: "If the feed was there before, the service was started with another database or another version.",
    };

    /// No sealed page there.
    pub static PAGE_UNKNOWN = ProblemType {
        slug: "page-unknown",
        title: "There is no such page",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "The archive has no page at that URL: its name is not formed as `EPOCH/PAGE.r1.atom` or \
            `EPOCH/PAGE.r1.json`, or the feed does not reach so far yet.",
        caller: "Do not put URLs of pages together: follow `next` and `prev-archive`. A page that is not there yet may \
            be there later.",
        operator: "Nothing; if a reader got the URL from this feed, the feed has lost events, and the reader's cursor \
            will tell.",
    };

    /// No event of that id.
    pub static EVENT_UNKNOWN = ProblemType {
        slug: "event-unknown",
        title: "There is no such event",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "This feed has no event of that id. It may be in another feed, not visible yet, or no id at all (a \
            UUID in its 36-character form).",
        caller: "Check the id and the feed. An event that was appended a moment ago may be visible a moment later.",
        operator: "Nothing.",
    };

    /// As many wait as may wait.
    pub static TOO_MANY_WAITERS = ProblemType {
        slug: "too-many-waiters",
        title: "Too many wait here already",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "As many requests and event streams wait for events as the service allows.",
        caller: "Poll without `wait` and without the event stream, or ask again after `Retry-After`. Nothing is lost: \
            the cursor stays good.",
        operator: "See who keeps so many connections open. A cache or a relay in front lets many readers share one.",
    };

    // What anybody meets.

    /// No resource at that path.
    pub static PATH_UNKNOWN = ProblemType {
        slug: "path-unknown",
        title: "There is nothing here",
        statuses: &[StatusCode::NOT_FOUND],
        happened: "The service has no resource at that path.",
        caller: "Correct the URL: the `detail` names what there is, and so does `/openapi.json`.",
        operator: "Nothing; if a proxy changes paths, see that it takes its prefix away.",
    };

    /// A path that is no text.
    pub static PATH_MALFORMED = ProblemType {
        slug: "path-malformed",
        title: "The path cannot be read",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "What is percent-encoded in the path is not UTF-8.",
        caller: "Encode the text as UTF-8 first and percent-encode its bytes then.",
        operator: "Nothing.",
    };

    /// A method that the path does not take.
    pub static METHOD_UNKNOWN = ProblemType {
        slug: "method-unknown",
        title: "The path does not take this method",
        statuses: &[StatusCode::METHOD_NOT_ALLOWED],
        happened: "There is something at the path, but not for this method. A feed is read by GET and HEAD; what it \
            publishes is appended by its service alone.",
        caller: "Use one of the methods that the `Allow` header lists.",
        operator: "Nothing.",
    };

    /// No representation that the request accepts.
    pub static NOT_ACCEPTABLE = ProblemType {
        slug: "not-acceptable",
        title: "There is no such representation",
        statuses: &[StatusCode::NOT_ACCEPTABLE],
        happened: "The `Accept` header allows none of the media types that there are.",
        caller: "Ask for one of those in `available`, or leave `Accept` out.",
        operator: "Nothing.",
    };

    /// No token, or an unknown one.
    pub static TOKEN_MISSING = ProblemType {
        slug: "token-missing",
        title: "A bearer token is needed",
        statuses: &[StatusCode::UNAUTHORIZED],
        happened: "The service asks for bearer tokens (RFC 6750), and the request has none, or one that the service \
            does not know.",
        caller: "Send `Authorization: Bearer TOKEN`. A reader tries again later, from the same cursor.",
        operator: "Put a token into the service's token file (`--tokens`) and give it to the caller, or into the file \
            that the reader takes its token from. Token files are read when a service starts.",
    };

    /// A token that may only read.
    pub static TOKEN_READS_ONLY = ProblemType {
        slug: "token-reads-only",
        title: "This token may only read",
        statuses: &[StatusCode::FORBIDDEN],
        happened: "The token is known, but it is one for reading, and the request would change something.",
        caller: "Use a token that may write.",
        operator: "Tokens that may write stand in the token file in lines `write TOKEN`.",
    };

    /// A URL that is too long.
    pub static URI_TOO_LONG = ProblemType {
        slug: "uri-too-long",
        title: "The URL is too long",
        statuses: &[StatusCode::URI_TOO_LONG],
        happened: "A URL has 2048 bytes at most, so that every proxy and every reader can carry it.",
        caller: "Ask for less at once: fewer `type` and `subject`.",
        operator: "Nothing.",
    };

    /// The instance reads a standby that is not so far yet.
    pub static FEED_BEHIND = ProblemType {
        slug: "feed-behind",
        title: "This instance is not so far yet",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "The instance reads a standby of the database, and what was asked for is not there: it may have come to \
            the primary a moment ago, or there is no such thing. A standby cannot tell.",
        caller: "Ask again after `Retry-After`, or ask an instance that reads the primary: that one says so for good when \
            the cursor is none of this feed.",
        operator: "If it lasts, look at the standby's lag (`pg_last_xact_replay_timestamp()`), or at whether the reader's \
            cursor is known to the primary.",
    };

    /// The service cannot answer now.
    pub static UNAVAILABLE = ProblemType {
        slug: "unavailable",
        title: "The service cannot answer now",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "The database is busy, full or out of reach, or the service stops just now. Nothing was changed.",
        caller: "Send the same request again after `Retry-After`.",
        operator: "If it lasts, the log says why; look at the disk's free space first.",
    };

    /// No answer in time.
    pub static TIMEOUT = ProblemType {
        slug: "timeout",
        title: "The request took too long",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "There was no answer within 30 seconds. What the request was to change may have been changed all the \
            same.",
        caller: "Look whether it was done before doing it again, or repeat the request with the same \
            `Idempotency-Key` where there is one. Reading can simply be tried again.",
        operator: "See in the log what the service was busy with: a slow disk, a very large page, or too many requests.",
    };

    /// The service failed.
    pub static INTERNAL = ProblemType {
        slug: "internal",
        title: "The service failed",
        statuses: &[StatusCode::INTERNAL_SERVER_ERROR],
        happened: "Something went wrong inside that is nobody's request. The reason is in the service's log and is not \
            told to the outside.",
        caller: "Trying again at once does not help. A reader tries again later, from the same cursor.",
        operator: "The log has a line `a request failed` with the reason. A row that cannot be read is a reason to \
            check the database file and its backups.",
    };

    // What those meet who change something, or list something.

    /// A parameter of a list that is not valid.
    pub static QUERY_INVALID = ProblemType {
        slug: "query-invalid",
        title: "A parameter of the URL is not valid",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "A parameter of a list is unknown, stands twice, or has a value that it cannot have.",
        caller: "Correct the URL: the `detail` names the parameter. Follow `next` as it is given.",
        operator: "Nothing.",
    };

    /// A body that is no JSON.
    pub static BODY_MALFORMED = ProblemType {
        slug: "body-malformed",
        title: "The body is no JSON",
        statuses: &[StatusCode::BAD_REQUEST],
        happened: "The body cannot be read as one JSON text. Nothing was changed.",
        caller: "Correct the body: the `detail` names line and column.",
        operator: "Nothing.",
    };

    /// A body that does not say that it is JSON.
    pub static BODY_NOT_JSON = ProblemType {
        slug: "body-not-json",
        title: "The body has to be JSON",
        statuses: &[StatusCode::UNSUPPORTED_MEDIA_TYPE],
        happened: "The request does not say that its body is JSON, or the body is compressed. Nothing was changed.",
        caller: "Send `Content-Type: application/json`, and no `Content-Encoding`.",
        operator: "Nothing.",
    };

    /// JSON that is not what is asked for.
    pub static BODY_INVALID = ProblemType {
        slug: "body-invalid",
        title: "The body is not what is asked for",
        statuses: &[StatusCode::UNPROCESSABLE_ENTITY],
        happened: "The body is JSON, but a field is missing, unknown, given twice, of another kind, or out of its range. \
            Nothing was changed.",
        caller: "Correct the field that the `detail` names; `/openapi.json` describes them all.",
        operator: "Nothing.",
    };

    /// A body that is too large.
    pub static BODY_TOO_LARGE = ProblemType {
        slug: "body-too-large",
        title: "The body is too large",
        statuses: &[StatusCode::PAYLOAD_TOO_LARGE],
        happened: "A request body has 64 KiB at most. Nothing was changed.",
        caller: "Send less.",
        operator: "Nothing.",
    };

    /// Somebody else changed the subject meanwhile.
    pub static VERSION_CONFLICT = ProblemType {
        slug: "version-conflict",
        title: "Somebody else was quicker",
        statuses: &[StatusCode::CONFLICT],
        happened: "What the request was to change was changed by somebody else meanwhile; `current_version` is its \
            version now. Nothing was changed by this request.",
        caller: "Read it again, see whether the change is still wanted, and send it again.",
        operator: "Nothing; if it comes often, too many work on one thing at the same time.",
    };

    /// An event beyond the feed's limit.
    pub static EVENT_TOO_LARGE = ProblemType {
        slug: "event-too-large",
        title: "The event is too large",
        statuses: &[StatusCode::PAYLOAD_TOO_LARGE],
        happened: "What the request asks for would publish an event that is larger than the feed allows, or too many at \
            once. Nothing was changed.",
        caller: "Send less in one request.",
        operator: "The largest event belongs to the feed and was set when it was created; `GET /feeds` tells it.",
    };

    // What those meet who read what they have written elsewhere.

    /// `after` is neither an event's id nor a cursor.
    pub static AFTER_MALFORMED = ProblemType {
        slug: "after-malformed",
        title: "`after` names no event",
        statuses: &[StatusCode::UNPROCESSABLE_ENTITY],
        happened: "`after` of a single resource says which event has to be in the answer: by its id, or by its cursor, \
            `epoch.position.check`. It is neither.",
        caller: "Send the `last_event_id` of an answer as it came, or leave `after` out.",
        operator: "Nothing.",
    };

    /// `after` is of no feed that is read here.
    pub static AFTER_UNKNOWN = ProblemType {
        slug: "after-unknown",
        title: "Nobody knows the event of `after`",
        statuses: &[StatusCode::UNPROCESSABLE_ENTITY],
        happened: "The event that the answer is to contain is neither one of this service nor one of the feed that it \
            follows. That feed was asked until the time for waiting was over.",
        caller: "Look where the event is from: only those of this service, and of the feed that it follows, can be \
            waited for. Asking again does not help.",
        operator: "Nothing; if the event was in the feed before, the feed has lost events, as after a restored backup.",
    };

    /// The read model has not got so far.
    pub static READ_MODEL_BEHIND = ProblemType {
        slug: "read-model-behind",
        title: "The read model is not so far yet",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "The answer was to contain the event that `after` names. The service has not read that event from the \
            feed that it follows within the time for waiting, or it could not ask that feed where the event stands. \
            `cursor` says how far it has read.",
        caller: "Send the same request again after `Retry-After`, or leave `after` out for an answer that may be older.",
        operator: "`feedctl sub show` with the `subscription` says how it is doing. If its `state` is `paused` or \
            `halted`, somebody has to resume it; if nobody holds it, no process polls.",
    };

    /// The event was set aside.
    pub static EVENT_NOT_APPLIED = ProblemType {
        slug: "event-not-applied",
        title: "The event was read and not applied",
        statuses: &[StatusCode::SERVICE_UNAVAILABLE],
        happened: "The answer was to contain the event that `after` names. The service has read that event and could not \
            apply it: it is parked, waits behind one that is, is still being tried, or was dropped by an operator. \
            `event_state` says which.",
        caller: "Waiting helps once somebody has mended the cause: ask again after `Retry-After`, where there is one. \
            Leave `after` out for an answer without the event.",
        operator: "`feedctl sub show` with the `subscription` and `--event` with the event's id says why. Mend the cause, \
            then `feedctl sub retry`.",
    };
}

#[cfg(test)]
mod tests;
