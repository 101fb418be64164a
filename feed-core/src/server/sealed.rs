//! Sealed pages as bytes: rendered once, compressed once a coding, kept while there is room.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::coding::Coding;
use super::conditional::Known;
use super::rendered::Rendered;
use super::respond;
use crate::document::ArchiveFile;
use crate::error::StoreError;
use crate::position::{Epoch, Position};

/// Which page, in which coding. `feed` is its number in the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) feed: usize,
    pub(super) epoch: Epoch,
    pub(super) file: ArchiveFile,
    pub(super) coding: Coding,
}

/// A page as it is sent. Cheap to clone: all who ask for it share the bytes.
#[derive(Debug, Clone)]
pub(super) struct SealedPage {
    /// The position before its first event.
    begins_behind: Position,
    rendered: Rendered,
}

/// The pages that are kept, up to a number of bytes; what was asked for least goes first. A page that several ask for
/// at the same time is made once.
pub(super) struct SealedPages(Cache<Key, SealedPage, Bytewise>);

#[derive(Debug, Clone)]
struct Bytewise;

impl Weighter<Key, SealedPage> for Bytewise {
    fn weight(&self, _: &Key, page: &SealedPage) -> u64 {
        page.rendered.bytes() as u64
    }
}

impl SealedPages {
    pub(super) fn new(bytes_max: u64) -> Self {
        // Pages of the default size are guessed to have some 64 KiB.
        let pages = usize::try_from(bytes_max >> 16).unwrap_or(usize::MAX);
        SealedPages(Cache::with_weighter(pages.max(16), bytes_max, Bytewise))
    }

    /// The page of this key, if it is kept.
    pub(super) fn kept(&self, key: &Key) -> Option<SealedPage> {
        self.0.get(key)
    }

    /// The page of this key; `render` makes it, not compressed, when it is not kept. Whatever else `render` finds out
    /// is given back and not kept.
    pub(super) async fn get<E>(
        &self,
        key: Key,
        render: impl Future<Output = Result<SealedPage, E>>,
    ) -> Result<SealedPage, E>
    where
        E: From<StoreError>,
    {
        let plain = Key {
            coding: Coding::Identity,
            ..key
        };
        if key == plain {
            return self.0.get_or_insert_async(&key, render).await;
        }
        let encoded = async {
            let page = self.0.get_or_insert_async(&plain, render).await?;
            Ok(page.encoded(key.coding).await?)
        };
        self.0.get_or_insert_async(&key, encoded).await
    }
}

impl SealedPage {
    /// From the headers and the body of a page that is not compressed.
    pub(super) fn new(begins_behind: Position, mut headers: HeaderMap, body: Vec<u8>) -> Self {
        // Another `Accept-Encoding` would have been answered differently.
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        SealedPage {
            begins_behind,
            rendered: Rendered::new(headers, body),
        }
    }

    /// The same page in a coding, with an ETag of its own.
    async fn encoded(&self, coding: Coding) -> Result<SealedPage, StoreError> {
        let plain = self.rendered.body().clone();
        let encoded = tokio::task::spawn_blocking(move || coding.encode(&plain)).await;
        let body = encoded
            .map_err(|error| StoreError::Panicked(error.to_string()))?
            .map_err(|error| StoreError::Panicked(format!("{}: {error}", coding.name())))?;
        let mut headers = self.rendered.headers();
        let plain_tag = self.rendered.tag().trim_matches('"');
        let tag = format!("\"{plain_tag}.{}\"", coding.tag());
        respond::set(&mut headers, header::ETAG, &tag);
        respond::set(&mut headers, header::CONTENT_ENCODING, coding.name());
        Ok(SealedPage {
            begins_behind: self.begins_behind,
            rendered: Rendered::new(headers, body),
        })
    }

    /// The position before its first event.
    pub(super) fn begins_behind(&self) -> Position {
        self.begins_behind
    }

    /// The page, or 304 when the reader has it.
    pub(super) fn respond(&self, known: &Known) -> Response {
        self.rendered.respond(known)
    }
}
