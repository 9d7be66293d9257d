//! Every cut and every flipped bit of an archive is found.

use super::*;

#[derive(Default)]
struct Kept(Vec<(String, Vec<u8>)>);

impl Sink for Kept {
    fn begin(&mut self, file: &Entry) -> anyhow::Result<()> {
        self.0.push((file.name.clone(), Vec::new()));
        Ok(())
    }

    fn data(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.0.last_mut().expect("a file has begun").1.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

fn head(files: &[(&str, u64)]) -> Head {
    let files = files.iter().map(|(name, size_bytes)| Entry { name: (*name).to_owned(), size_bytes: *size_bytes }).collect();
    Head {
        domain: "one.localhost:8001".parse().expect("a domain"),
        format: 2,
        software: "meshd".to_owned(),
        made_ms: 7,
        taken: Taken::Stopped,
        files,
    }
}

fn archive() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, &head(&[("mesh.toml", 5), ("empty", 0), ("store/a/b", 7)])).expect("written");
    for piece in ["hello", "wor", "ld!!"] {
        writer.data(piece.as_bytes()).expect("written");
    }
    writer.end().expect("written");
    bytes
}

fn read(bytes: &[u8]) -> anyhow::Result<Kept> {
    let mut kept = Kept::default();
    Reader::open(bytes)?.unpack(&mut kept)?;
    Ok(kept)
}

#[track_caller]
fn check_refused(bytes: &[u8], words: &str) {
    let error = read(bytes).err().expect("it must be refused").to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn files_come_back_as_they_were() {
    let kept = read(&archive()).expect("a good archive");
    let expected = [("mesh.toml", "hello"), ("empty", ""), ("store/a/b", "world!!")];
    assert_eq!(kept.0, expected.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec())));
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let whole = archive();
    for end in 0..whole.len() {
        check_refused(&whole[..end], "cut off");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bytes).is_err(), "bit {bit}");
    }
    check_refused(&[&whole[..], b"x"].concat(), "follows the end");
}

#[test]
fn words_say_where() {
    let whole = archive();
    let at = whole.windows(5).position(|bytes| bytes == b"hello").expect("it is there");
    check_refused(&whole[..at + 2], &format!("after byte {}, in mesh.toml", at + 2));
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    check_refused(&bytes, &format!("damaged at byte {}", at - FRAME_HEAD_BYTES));
    check_refused(b"PK\x03\x04 something else", "no backup");
    bytes = whole;
    bytes[7] = 9;
    check_refused(&bytes, "version 9");
}

#[test]
fn exchanged_and_repeated_frames_are_refused() {
    let whole = archive();
    let frame = |text: &str| {
        let at = whole.windows(text.len()).position(|bytes| bytes == text.as_bytes()).expect("it is there") - FRAME_HEAD_BYTES;
        at..at + FRAME_HEAD_BYTES + text.len() + CHECK_BYTES
    };
    let (one, two) = (frame("wor"), frame("ld!!"));
    let exchanged = [&whole[..one.start], &whole[two.clone()], &whole[one.clone()], &whole[two.end..]].concat();
    check_refused(&exchanged, "damaged");
    let repeated = [&whole[..one.end], &whole[one.clone()], &whole[two.end..]].concat();
    check_refused(&repeated, "damaged");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for name in ["/etc/passwd", "../x", "store/../../x", "a//b", ".ssh", "", "a\\b", "store/\u{e9}"] {
        let mut bytes = Vec::new();
        Writer::begin(&mut bytes, &head(&[(name, 0)])).and_then(Writer::end).expect("written");
        check_refused(&bytes, "no data folder has");
    }
    let mut bytes = Vec::new();
    Writer::begin(&mut bytes, &head(&[("a", 0), ("a", 0)])).and_then(Writer::end).expect("written");
    check_refused(&bytes, "twice");
}

#[test]
fn who_gave_up_says_why() {
    let mut bytes = Vec::new();
    let writer = Writer::begin(&mut bytes, &head(&[("mesh.toml", 5)])).expect("written");
    writer.give_up("the disk is damaged").expect("written");
    check_refused(&bytes, "the disk is damaged");
}
