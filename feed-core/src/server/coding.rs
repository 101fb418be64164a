//! Content codings of sealed pages: chosen by `Accept-Encoding`, made once.

use std::io::{self, Write};

use http::{HeaderMap, header};

use super::negotiate::{Range, quality};

/// Levels at which a page of 100 events takes a few milliseconds: it is compressed once and sent often.
const GZIP_LEVEL: u32 = 6;
const BROTLI_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 9;
/// Logarithm of brotli's window in bytes: 4 MiB, the largest that every decoder takes.
const BROTLI_WINDOW_LOG: u32 = 22;
/// Room of brotli's working buffer, in bytes.
const BROTLI_BUFFER_BYTES: usize = 16 << 10;

/// Version of the encoded bytes. Stands in the ETags: whoever changes a level, or takes an encoder that makes other
/// bytes of the same, raises it, so that a strong tag stays true (RFC 9110, section 8.8.1).
const ENCODING_VERSION: u32 = 1;

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// In the order of our preference: what is decoded fastest stands before what is as small.
    const COMPRESSED: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// What it adds to the ETag of a page.
    pub(super) fn tag(self) -> String {
        format!("{}{ENCODING_VERSION}", self.name())
    }

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The best coding by `Accept-Encoding` (RFC 9110, section 12.5.3). A request that says nothing gets none, since
    /// it may not be able to decode any; one that refuses all gets none too.
    pub(super) fn negotiate(headers: &HeaderMap) -> Coding {
        let ranges: Vec<Range> = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .map(Range::of_coding)
            .collect();
        let best = Coding::COMPRESSED
            .into_iter()
            .map(|coding| (coding, quality(&ranges, coding.name())))
            .reduce(|best, offer| if offer.1 > best.1 { offer } else { best });
        // Without a word about it, identity is acceptable, but not preferred.
        let identity = Coding::Identity.name();
        let identity = if ranges.iter().any(|range| range.names(identity)) {
            quality(&ranges, identity)
        } else {
            0
        };
        match best {
            Some((coding, quality)) if quality > 0 && quality >= identity => coding,
            _ => Coding::Identity,
        }
    }

    /// `bytes` in this coding. Takes milliseconds for a page: not for the thread that answers requests.
    pub(super) fn encode(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Coding::Identity => Ok(bytes.to_vec()),
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Coding::Brotli => {
                let mut encoded = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(
                    &mut encoded,
                    BROTLI_BUFFER_BYTES,
                    BROTLI_LEVEL,
                    BROTLI_WINDOW_LOG,
                );
                encoder.write_all(bytes)?;
                drop(encoder);
                Ok(encoded)
            }
            Coding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_coding_is_chosen_by_quality() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            Coding::negotiate(&headers)
        };
        assert_eq!(Coding::negotiate(&HeaderMap::new()), Coding::Identity);
        for (value, coding) in [
            ("", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("GZIP", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip, br", Coding::Brotli),
            ("gzip;q=1.0, br;q=0.5", Coding::Gzip),
            ("gzip;q=0.5, identity", Coding::Identity),
            ("gzip, identity;q=0.5", Coding::Gzip),
            ("gzip;q=0", Coding::Identity),
            ("deflate", Coding::Identity),
            ("identity;q=0", Coding::Identity),
            ("*", Coding::Zstd),
            ("zstd;q=0, *", Coding::Brotli),
            ("*;q=0", Coding::Identity),
            ("gzip;q=nonsense", Coding::Identity),
        ] {
            assert_eq!(asked(value), coding, "{value}");
        }
    }

    /// When this fails after an update of an encoder, raise [`ENCODING_VERSION`] and write down the new digests.
    #[test]
    fn i04_the_bytes_of_version_1_stay() {
        use sha2::{Digest, Sha256};
        let page = include_bytes!("../golden/archive.r1.atom");
        let digests = Coding::COMPRESSED.map(|coding| {
            let digest = Sha256::digest(coding.encode(page).unwrap());
            let hex: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
            (coding.name(), hex)
        });
        let expected = [
            ("zstd", "3d5d08d4fdbc6832"),
            ("br", "901806dbddcf29b5"),
            ("gzip", "be0b76cf0fd61619"),
        ];
        assert_eq!(digests, expected.map(|(name, hex)| (name, hex.to_owned())));
    }

    #[test]
    fn what_repeats_gets_small() {
        let bytes = "{\"a\": 1}\n".repeat(1_000).into_bytes();
        for coding in Coding::COMPRESSED {
            let encoded = coding.encode(&bytes).unwrap();
            assert!(encoded.len() < bytes.len() / 10, "{coding:?}");
        }
    }
}
