//! How people say where a home is.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::ObjectStoreScheme;
use url::Url;

/// A folder, or a URL such as `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    Bucket(Url),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text}: {problem}; a home is a folder, or s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
)]
pub struct BadLocation {
    text: String,
    problem: String,
}

impl Location {
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }
}

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        if !text.contains("://") {
            return Ok(Self::Folder(text.into()));
        }
        let bad = |problem: String| BadLocation { text: text.into(), problem };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        let (scheme, _) = ObjectStoreScheme::parse(&url).map_err(|e| bad(e.to_string()))?;
        match scheme {
            ObjectStoreScheme::Local => {
                url.to_file_path().map(Self::Folder).map_err(|()| bad("not a path".into()))
            }
            ObjectStoreScheme::AmazonS3
            | ObjectStoreScheme::GoogleCloudStorage
            | ObjectStoreScheme::MicrosoftAzure => Ok(Self::Bucket(url)),
            _ => Err(bad(format!("{} is no object store", url.scheme()))),
        }
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Bucket(url) => url.fmt(f),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_buckets_and_anything_else_is_a_folder() {
        let parse = |text: &str| text.parse::<Location>();
        for folder in ["./data", "/var/lib/plimsoll", "s3"] {
            assert_eq!(parse(folder), Ok(Location::Folder(folder.into())));
        }
        assert_eq!(parse("file:///var/lib"), Ok(Location::Folder("/var/lib".into())));
        for bucket in ["s3://b/p", "s3://b", "gs://b/p", "az://c/p"] {
            let location = parse(bucket).expect("a bucket");
            assert!(location.folder().is_none());
            assert_eq!(location.to_string(), bucket);
        }
        for bad in ["http://example.com/x", "memory:///", "ftp://b/p", "s3://"] {
            let problem = parse(bad).expect_err("no home").to_string();
            assert!(problem.starts_with(bad) && problem.contains("s3://bucket/prefix"), "{problem}");
        }
    }
}
