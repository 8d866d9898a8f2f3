use bytes::Bytes;
use plimsoll_schemas::{Tenant, UnixNanos};
use uuid::Uuid;

use super::digests::{Digests, digest};
use super::record::{Codec, Header, HeaderError};
use crate::decode::{RecordKind, RecordMeta};
use crate::files::Older;

const ANY: std::ops::RangeInclusive<u64> = 0..=u64::MAX;
const MINUTE_NS: i64 = 60_000_000_000;

fn meta(tenant: &str, kind: RecordKind) -> RecordMeta {
    RecordMeta { kind, tenant: Tenant::new(tenant).expect("valid"), ingest: UnixNanos(-7) }
}

#[test]
fn a_record_comes_back_as_it_was() {
    let codec = Codec::new(Uuid::from_u128(1));
    let mut bytes = Vec::new();
    codec.encode(&mut bytes, 41, 0, &meta("acme", RecordKind::Traces), b"first");
    codec.encode(&mut bytes, 42, 1, &meta("other", RecordKind::Verdicts), b"");
    let bytes = Bytes::from(bytes);
    let first = codec.decode(&bytes, 0, &ANY).expect("valid");
    let second = codec.decode(&bytes, first.end, &ANY).expect("valid");
    assert_eq!((first.record.seq, first.group, &first.record.payload[..]), (41, 41, &b"first"[..]));
    assert_eq!((second.record.seq, second.group, second.end), (42, 41, bytes.len()));
    assert_eq!(second.record.meta.kind, RecordKind::Verdicts);
    assert_eq!(second.record.meta.tenant.as_str(), "other");
    assert_eq!(second.record.meta.ingest, UnixNanos(-7));
    assert!(codec.decode(&bytes, 0, &(42..=50)).is_none(), "not a plausible sequence");
}

#[test]
fn no_flipped_bit_and_no_cut_makes_another_record() {
    let codec = Codec::new(Uuid::from_u128(1));
    let mut whole = Vec::new();
    codec.encode(&mut whole, 1, 0, &meta("acme", RecordKind::Logs), b"payload");
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(codec.decode(&bytes.into(), 0, &ANY).is_none(), "bit {bit}");
    }
    for len in 0..whole.len() {
        assert!(codec.decode(&whole[..len].to_vec().into(), 0, &ANY).is_none(), "{len} bytes");
    }
}

#[test]
fn another_log_s_record_is_none_of_ours() {
    let mut bytes = Vec::new();
    Codec::new(Uuid::from_u128(1)).encode(&mut bytes, 1, 0, &meta("acme", RecordKind::Logs), b"payload");
    assert!(Codec::new(Uuid::from_u128(2)).decode(&bytes.into(), 0, &ANY).is_none());
}

#[test]
fn a_header_is_whole_or_none() {
    let header = Header { id: Uuid::from_u128(9), first_seq: 77 };
    let whole = header.encode();
    assert_eq!(Header::decode(&whole), Ok(header));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Invalid), "bit {bit}");
    }
    let mut newer = whole;
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..36]);
    newer[36..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&newer), Err(HeaderError::Version(2)));
}

#[test]
fn a_digest_tells_tenants_kinds_and_payloads_apart() {
    let of = |tenant, kind, payload: &[u8]| digest(&meta(tenant, kind), payload);
    let digests = [
        of("a", RecordKind::Traces, b"x"),
        of("b", RecordKind::Traces, b"x"),
        of("a", RecordKind::Logs, b"x"),
        of("a", RecordKind::Traces, b"y"),
    ];
    assert_eq!(digests.iter().collect::<std::collections::HashSet<_>>().len(), digests.len());
    let later = RecordMeta { ingest: UnixNanos(5), ..meta("a", RecordKind::Traces) };
    assert_eq!(digest(&later, b"x"), digests[0], "the time of the second try is another one");
}

#[test]
fn the_window_ends_after_fifteen_minutes() {
    let mut digests = Digests::default();
    digests.insert(1, UnixNanos(0));
    assert!(digests.contains(1, UnixNanos(15 * MINUTE_NS)));
    assert!(!digests.contains(1, UnixNanos(15 * MINUTE_NS + 1)));
    // It was accepted once more, and the first time's leaving does not make the second unknown.
    digests.insert(1, UnixNanos(16 * MINUTE_NS));
    digests.insert(2, UnixNanos(30 * MINUTE_NS));
    assert!(digests.contains(1, UnixNanos(30 * MINUTE_NS)));
}

#[test]
fn the_window_holds_so_many_and_no_more() {
    let mut digests = Digests::default();
    for i in 0..=65_536 {
        digests.insert(i, UnixNanos(i as i64));
    }
    let now = UnixNanos(65_536);
    assert!(!digests.contains(0, now));
    assert!(digests.contains(1, now) && digests.contains(65_536, now));
}

#[test]
fn a_saved_window_is_read_back_and_a_damaged_one_left_out() {
    let window = |of: std::ops::RangeInclusive<u128>| {
        let mut digests = Digests::default();
        of.for_each(|i| digests.insert(i, UnixNanos(i as i64)));
        ("digests".into(), digests.encode())
    };
    let knows = |saved: Vec<Older>| {
        let digests = Digests::of(saved);
        (1..=6).filter(|i| digests.contains(*i, UnixNanos(6))).collect::<Vec<_>>()
    };
    assert_eq!(knows(vec![window(3..=5), window(1..=3)]), [1, 2, 3, 4, 5]);
    let mut damaged = window(3..=5);
    damaged.1[20] ^= 1;
    assert_eq!(knows(vec![damaged, window(1..=3)]), [1, 2, 3]);
    assert_eq!(knows(Vec::new()), [0; 0]);
}
