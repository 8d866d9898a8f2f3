//! The slice: the low-cardinality keys by which work is always segmented.

use crate::attr::Attr;

/// A key of the slice other than the tenant, which comes from the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SliceKey {
    WorkloadClass,
    Model,
    Hardware,
}

impl SliceKey {
    pub const ALL: [Self; 3] = [Self::WorkloadClass, Self::Model, Self::Hardware];

    /// The column that carries it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkloadClass => "workload_class",
            Self::Model => "model",
            Self::Hardware => "hardware",
        }
    }

    /// Where its value comes from, strongest first: on the span, then on the same span's resource;
    /// then the same for each ancestor up to the root.
    pub const fn sources(self) -> &'static [Attr] {
        match self {
            Self::WorkloadClass => {
                &[Attr::PlimsollWorkloadClass, Attr::WorkloadClass, Attr::ResourceWorkloadClass]
            }
            Self::Model => &[Attr::GenAiRequestModel, Attr::GenAiResponseModel, Attr::ResourceModel],
            Self::Hardware => &[Attr::PlimsollHardware, Attr::HwModel, Attr::HostType],
        }
    }
}

/// The slice of a trace or span; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Slice<'a> {
    pub workload_class: Option<&'a str>,
    pub model: Option<&'a str>,
    pub hardware: Option<&'a str>,
}

/// The partition of spans whose traces did not settle yet.
pub const SLUG_RECENT: &str = "_recent";
/// The partition of spans whose slice is above the day's cap.
pub const SLUG_OVERFLOW: &str = "_overflow";
/// The partition of spans of which no slice key is known.
pub const SLUG_UNASSIGNED: &str = "_unassigned";
/// Slices a day and table, above which new ones go to [`SLUG_OVERFLOW`].
pub const SLICES_PER_DAY_MAX: usize = 256;
const SLUG_PART_CHARS_MAX: usize = 40;

impl<'a> Slice<'a> {
    pub fn get(&self, key: SliceKey) -> Option<&'a str> {
        match key {
            SliceKey::WorkloadClass => self.workload_class,
            SliceKey::Model => self.model,
            SliceKey::Hardware => self.hardware,
        }
    }

    pub fn set(&mut self, key: SliceKey, value: Option<&'a str>) {
        match key {
            SliceKey::WorkloadClass => self.workload_class = value,
            SliceKey::Model => self.model = value,
            SliceKey::Hardware => self.hardware = value,
        }
    }

    /// The name of the partition: safe as a folder on every file system and in every object store.
    /// Distinct slices have distinct slugs but for a hash collision of long or odd values.
    pub fn slug(&self, tenant: &str) -> String {
        let mut slug = String::new();
        part(&mut slug, tenant);
        if self.workload_class.is_none() && self.model.is_none() && self.hardware.is_none() {
            return if tenant == crate::Tenant::DEFAULT { SLUG_UNASSIGNED.into() } else { slug };
        }
        for key in SliceKey::ALL {
            slug.push('_');
            part(&mut slug, self.get(key).unwrap_or(""));
        }
        slug
    }
}

/// Appends `value` with all but letters, digits, `.` and `-` replaced; what was lost is kept as a short hash.
fn part(slug: &mut String, value: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let start = slug.len();
    slug.extend(value.chars().take(SLUG_PART_CHARS_MAX).map(|c| if plain(c) { c } else { '-' }));
    if slug[start..] != *value {
        let hash = value
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        slug.push('-');
        slug.push_str(&format!("{:08x}", hash as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_safe_and_distinct() {
        let slice = |model| Slice { model: Some(model), ..Slice::default() };
        assert_eq!(Slice::default().slug("default"), SLUG_UNASSIGNED);
        assert_eq!(Slice::default().slug("acme"), "acme");
        assert_eq!(slice("gpt-4.1").slug("acme"), "acme__gpt-4.1_");
        assert_ne!(slice("a/b").slug("t"), slice("a b").slug("t"));
        assert!(!slice("../../etc").slug("t").contains('/'));
    }
}
