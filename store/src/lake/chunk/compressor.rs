//! zstd contexts that the columns of a write share.

use std::io;

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_end, ZSTD_e_flush};
use zstd::zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, SafeResult, compress_bound, get_error_name,
};

/// A smaller body is not worth a block of its own.
const BODY_BYTES_MIN: usize = 4 * 1024;
/// The header of a block.
const BLOCK_BYTES: usize = 16;

pub struct Compressors {
    /// For ids and numbers, of which a harder try makes nothing smaller: it takes chance repeats of a few digits, which cost more
    /// than they save.
    pub fast: Compressor,
    /// For words and texts.
    pub thorough: Compressor,
}

impl Compressors {
    pub fn new(zstd_level: i32) -> io::Result<Self> {
        Ok(Self { fast: Compressor::new(1)?, thorough: Compressor::new(zstd_level)? })
    }
}

pub struct Compressor(CCtx<'static>);

impl Compressor {
    fn new(level: i32) -> io::Result<Self> {
        let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        done(context.set_parameter(CParameter::CompressionLevel(level)))?;
        // Whoever reads a page notices a bit that is not as it was written.
        done(context.set_parameter(CParameter::ChecksumFlag(true)))?;
        Ok(Self(context))
    }

    /// One frame of the page, of which the values begin at `body`. These come into blocks of their own: a few levels or lengths
    /// among the sixteen digits of ids would make each digit's code longer.
    pub fn compress(&mut self, page: &[u8], body: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(compress_bound(page.len()) + BLOCK_BYTES);
        let (head, rest) = page.split_at(body);
        if head.is_empty() || rest.len() < BODY_BYTES_MIN {
            done(self.0.compress2(&mut out, page))?;
            return Ok(out);
        }
        done(self.0.reset(ResetDirective::SessionOnly))?;
        done(self.0.set_pledged_src_size(Some(page.len() as u64)))?;
        let mut buffer = OutBuffer::around(&mut out);
        for (part, directive) in [(head, ZSTD_e_flush), (rest, ZSTD_e_end)] {
            self.run(part, directive, &mut buffer)?;
        }
        Ok(out)
    }

    fn run(
        &mut self,
        part: &[u8],
        directive: ZSTD_EndDirective,
        out: &mut OutBuffer<'_, Vec<u8>>,
    ) -> io::Result<()> {
        let mut part = InBuffer::around(part);
        while done(self.0.compress_stream2(out, &mut part, directive))? > 0 {
            if out.pos() == out.capacity() {
                return Err(io::Error::other("zstd: a frame above its bound"));
            }
        }
        Ok(())
    }
}

fn done(result: SafeResult) -> io::Result<usize> {
    result.map_err(|code| io::Error::other(format!("zstd: {}", get_error_name(code))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            head in proptest::collection::vec(any::<u8>(), 0..200),
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20_000),
                proptest::collection::vec(0..3_u8, 0..300_000),
            ],
            level in 1..4,
        ) {
            let mut compressor = Compressor::new(level).expect("a context");
            let page = [head.clone(), body].concat();
            for _ in 0..2 {
                let frame = compressor.compress(&page, head.len()).expect("compressed");
                let back = zstd::bulk::decompress(&frame, page.len()).expect("a frame");
                prop_assert!(back == page);
            }
        }
    }
}
