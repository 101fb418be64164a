//! Feed readers and validators of Atom, and the SDKs of CloudEvents.

use std::ffi::OsString;
use std::path::Path;

use super::between::{Between, Copy};
use super::feeds::{Feeds, Odd};
use super::tools::{self, Said};

/// A program that looks at feeds: what it is started with before their URLs, and its environment.
struct Client {
    program: std::path::PathBuf,
    args: Vec<OsString>,
    env: Vec<(&'static str, std::path::PathBuf)>,
}

impl Client {
    /// A script of `tests/clients/` in Python, with these arguments. None where Python's packages are not there.
    fn python(name: &str, args: &[&Path]) -> Option<Self> {
        let script = tools::script(name).into_os_string();
        let args = args.iter().map(|arg| arg.as_os_str().to_owned());
        Some(Client {
            program: tools::python()?,
            args: std::iter::once(script).chain(args).collect(),
            env: Vec::new(),
        })
    }

    async fn look(&self, feed_urls: &[String]) -> Said {
        let args = self.args.iter().cloned();
        let env: Vec<_> = self
            .env
            .iter()
            .map(|(name, path)| (*name, path.as_path()))
            .collect();
        tools::run(
            &self.program,
            args.chain(feed_urls.iter().map(Into::into)),
            &env,
        )
        .await
    }

    /// It finds nothing wrong with any feed, and tells what it saw.
    async fn finds_all_well(&self) {
        let feeds = Feeds::start().await;
        self.look(&feeds.all()).await.tell();
    }

    /// Where every `from` in the documents is replaced by `to`, it notices, and says these words.
    async fn notices(&self, kind: &'static str, spoiled: &[(&'static str, &'static str, &str)]) {
        let odd = Odd::start().await;
        for (from, to, words) in spoiled.iter().copied() {
            let is_kind = move |copy: &Copy| {
                let found = copy.headers.get(http::header::CONTENT_TYPE);
                found.is_some_and(|found| found.as_bytes().starts_with(kind.as_bytes()))
            };
            let between = Between::start(odd.served.origin(), move |_, copy| {
                if is_kind(&copy) {
                    copy.replaced(from, to)
                } else {
                    copy
                }
            })
            .await;
            let url = between.through(&odd.url("sealed"));
            self.look(&[url]).await.assert_noticed(words);
        }
    }
}

/// Whether single events are served in binary mode, to `?format=binary`.
const BINARY_MODE: bool = false;
const ATOM: &str = "application/atom+xml";
const CLOUD_EVENTS: &str = "application/cloudevents";

fn binary_mode() -> Option<OsString> {
    BINARY_MODE.then(|| "--binary".into())
}

#[tokio::test]
async fn feedparser_reads_every_atom_document() {
    let Some(client) = Client::python("readers.py", &[Path::new("feedparser")]) else {
        return;
    };
    client.finds_all_well().await;
    let spoiled = [
        ("</entry>", "", "mismatched tag"),
        ("<id>urn:uuid:0", "<id>urn:uuid:1", "no event"),
        ("<updated>2", "<updated>1", "updated"),
        ("lamp_id", "lump_id", "content"),
        ("rel=\"self\"", "rel=\"selfish\"", "self is None"),
    ];
    client.notices(ATOM, &spoiled).await;
}

#[tokio::test]
async fn fastfeedparser_reads_every_atom_document() {
    let Some(client) = Client::python("readers.py", &[Path::new("fastfeedparser")]) else {
        return;
    };
    client.finds_all_well().await;
    let spoiled = [
        ("entry>", "item>", "0 of "),
        ("<id>urn:uuid:0", "<id>urn:uuid:1", "no such event"),
        ("<published>2", "<published>1", "published"),
        ("events/0", "events/1", "link"),
    ];
    client.notices(ATOM, &spoiled).await;
}

#[tokio::test]
async fn atom_documents_follow_the_grammar_of_rfc_4287() {
    let (Some(jing), Some(grammar)) = (tools::program("jing"), tools::grammar()) else {
        return;
    };
    let Some(client) = Client::python("grammar.py", &[&jing, &grammar]) else {
        return;
    };
    client.finds_all_well().await;
    let spoiled = [
        ("<title>Lit", "<label>x</label><title>Lit", "label"),
        ("<published>", "<published>yesterday ", "published"),
        ("<category term", "<category name", "term"),
    ];
    client.notices(ATOM, &spoiled).await;
}

#[tokio::test]
async fn atom_documents_are_right_where_the_grammar_is_too_lax() {
    let Some(client) = Client::python("atom_check.py", &[]) else {
        return;
    };
    client.finds_all_well().await;
    let spoiled = [
        ("rel=\"self\"", "rel=\"selfish\"", "no self"),
        ("rel=\"current\"", "rel=\"self\"", "two links self"),
        ("href=\"", "href=\"/", "path prefix"),
        ("href=\"", "href=\"http://127.0.0.1/", "not relative"),
        ("<fh:archive/>", "", "without fh:archive"),
        (
            "<fw:head>",
            "<fh:archive/><fw:head>",
            "outside of the archive",
        ),
        (
            "<content type=\"text\">",
            "<content type=\"application/json\">",
            "no base64",
        ),
        (
            "<content type=\"text\">",
            "<content type=\"text/html\">",
            "would not be base64",
        ),
        ("<published>20", "<published>20 ", "no RFC 3339 time"),
        ("<fw:check>", "<fw:check>0", "has check"),
        ("<summary>", "<rights>", "mismatched tag"),
        ("<title>Lit", "<title>Lit</title><title>", "2 of"),
        ("<author>", "<contributor>", "mismatched tag"),
        ("<name>lamp-svc</name>", "<name> </name>", "no author"),
        ("<feed ", "<!DOCTYPE feed><feed ", "a DOCTYPE"),
    ];
    client.notices(ATOM, &spoiled).await;
}

#[tokio::test]
async fn newsboat_lists_the_entries() {
    let Some(newsboat) = tools::program("newsboat") else {
        return;
    };
    let Some(client) = Client::python("newsboat.py", &[&newsboat]) else {
        return;
    };
    client.finds_all_well().await;
    let spoiled = [
        ("entry>", "item>", "newsboat"),
        ("</entry>", "", "newsboat"),
        ("events/0", "events/1", "entries, not"),
    ];
    client.notices(ATOM, &spoiled).await;
}

#[tokio::test]
async fn the_cloudevents_sdk_for_python_reads_every_json_form() {
    let Some(mut client) = Client::python("cloud_events.py", &[]) else {
        return;
    };
    client.args.extend(binary_mode());
    client.finds_all_well().await;
    let spoiled = [
        (
            "\"specversion\":\"1.0\"",
            "\"specversion\":\"7\"",
            "specversion",
        ),
        ("\"type\":", "\"kind\":", "type"),
        ("\"recorded\":", "\"Recorded\":", "ecorded"),
    ];
    client.notices(CLOUD_EVENTS, &spoiled).await;
}

#[tokio::test]
async fn the_cloudevents_sdk_for_javascript_reads_every_json_form() {
    let (Some(node), Some(modules)) = (tools::program("node"), tools::node_modules()) else {
        return;
    };
    let mut client = Client {
        program: node,
        args: vec![tools::script("cloud_events.cjs").into()],
        env: vec![("NODE_PATH", modules)],
    };
    client.args.extend(binary_mode());
    client.finds_all_well().await;
    let spoiled = [
        (
            "\"specversion\":\"1.0\"",
            "\"specversion\":\"7\"",
            "invalid",
        ),
        ("\"type\":", "\"kind\":", "type"),
        ("\"recorded\":", "\"Recorded\":", "ecorded"),
    ];
    client.notices(CLOUD_EVENTS, &spoiled).await;
}
