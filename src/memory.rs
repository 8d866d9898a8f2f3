//! The process's allocator, for C libraries too: a span passes through several hundred small allocations, and the tail holds columns
//! for seconds (measured in `benches/README.md`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long freed memory is kept for whoever asks next. By itself it would be a second, in which settling and flushes leave
/// sixty megabytes that nobody needs.
const PURGE_DELAY_MS: std::ffi::c_long = 50;

/// Its number among mimalloc's options, of which the bindings name a few only.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory goes back to the system after [`PURGE_DELAY_MS`], unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub fn give_back_soon() {
    // SAFETY: a number is stored in a table of options, at a place that is in it; no thread but this one runs yet.
    #[expect(unsafe_code, reason = "mimalloc's options have no safe interface")]
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // By itself it is a second; an environment that says otherwise is not what tests run in.
        let get = || {
            // SAFETY: a number is read from a table of options.
            #[expect(unsafe_code, reason = "mimalloc's options have no safe interface")]
            unsafe {
                libmimalloc_sys::mi_option_get(PURGE_DELAY)
            }
        };
        assert_eq!(get(), 1_000);
        give_back_soon();
        assert_eq!(get(), PURGE_DELAY_MS);
    }
}
