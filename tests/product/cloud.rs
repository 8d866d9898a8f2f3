//! Servers that speak as the clouds' object stores do, on loopback and over a temporary folder, installed by `tests/setup.sh`: `versitygw`
//! for S3, `azurite` for Azure, and for GCS `fake-gcs-server` with what it lacks (`tests/clouds/gcs`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{end, eventually, installed, send};

const BUCKET: &str = "lake";

/// What every Azurite has for an account and its key, and a signature with that key which lets make containers.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const MAY_MAKE: &str = "sv=2019-12-12&ss=b&srt=c&sp=c&se=2999-01-01T00%3A00%3A00Z&sig=vQBaNlc85iAj8wKESO5n2BD%2Fr1pzIY8dSPLkOLwhYRM%3D";

/// Credentials for a server that asks for none.
const NO_OAUTH: &str = r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    S3,
    Azure,
    Gcs,
}

impl Cloud {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
            Self::Gcs => "gs",
        }
    }

    fn server(self, folder: &Path, address: &str) -> Command {
        let objects = folder.join("objects");
        match self {
            Self::S3 => {
                let mut versitygw = Command::new(installed(".s3/versitygw"));
                versitygw.args(["--access", "plimsoll", "--secret", "plimsoll-secret", "--port", address]);
                versitygw.args(["--quiet", "posix", "--sidecar"]).args([folder.join("metadata"), objects]);
                versitygw
            }
            Self::Azure => {
                let mut azurite = Command::new("node");
                let (host, port) = address.split_once(':').expect("an address");
                azurite.arg(installed("clouds/azure/node_modules/azurite/dist/src/blob/main.js"));
                azurite.args(["--disableTelemetry", "--silent", "--blobHost", host, "--blobPort", port]);
                azurite.arg("--location").arg(objects);
                azurite
            }
            Self::Gcs => {
                let mut gcs = Command::new(installed(".gcs/server"));
                gcs.arg(objects).arg(address);
                gcs
            }
        }
    }

    /// What a client needs to know, as environment.
    fn settings(self, address: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::S3 => vec![
                ("AWS_ENDPOINT_URL", format!("http://{address}")),
                ("AWS_ALLOW_HTTP", "true".into()),
                ("AWS_ACCESS_KEY_ID", "plimsoll".into()),
                ("AWS_SECRET_ACCESS_KEY", "plimsoll-secret".into()),
                ("AWS_REGION", "us-east-1".into()),
            ],
            Self::Azure => vec![
                ("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{ACCOUNT}")),
                ("AZURE_ALLOW_HTTP", "true".into()),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.into()),
                ("AZURE_STORAGE_ACCOUNT_KEY", KEY.into()),
            ],
            Self::Gcs => vec![
                ("GOOGLE_BASE_URL", format!("http://{address}")),
                ("GOOGLE_SERVICE_ACCOUNT_KEY", NO_OAUTH.into()),
            ],
        }
    }
}

/// A server with one bucket.
pub struct Bucket {
    cloud: Cloud,
    process: Child,
    folder: tempfile::TempDir,
    address: String,
    settings: Vec<(&'static str, String)>,
}

impl Bucket {
    pub async fn start(cloud: Cloud) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // To the other two a bucket is a folder.
        for part in ["objects/lake", "metadata"] {
            std::fs::create_dir_all(folder.path().join(part)).expect("made");
        }
        let free = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a free port");
        let address = free.to_string();
        let process = run(cloud, folder.path(), &address).await;
        if cloud == Cloud::Azure {
            let make = format!("http://{address}/{ACCOUNT}/{BUCKET}?restype=container&{MAY_MAKE}");
            let made = send(Method::PUT, &make, &[], Bytes::new()).await.expect("it answers");
            assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        }
        let settings = cloud.settings(&address);
        Self { cloud, process, folder, address, settings }
    }

    /// A home in it.
    pub fn home(&self, prefix: &str) -> String {
        self.home_in(BUCKET, prefix)
    }

    /// A home in a bucket of that name.
    pub fn home_in(&self, bucket: &str, prefix: &str) -> String {
        format!("{}://{bucket}/{prefix}", self.cloud.scheme())
    }

    /// What a client needs to know, as environment, with further settings.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.settings.iter().map(|(name, value)| (*name, value.as_str()));
        // Other programs have settings, too.
        own.chain([("TOKEN", "another program's"), ("TIMEOUT", "another program's")])
            .chain(more.iter().copied())
            .collect()
    }

    /// The folder with its objects, of all but Azure.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects").join(BUCKET)
    }

    /// Ends the server, does something, and starts it again.
    pub async fn without(&mut self, act: impl AsyncFnOnce(&Self)) {
        // Told to end, since Azurite keeps for a while what it will write to disk.
        end(&mut self.process);
        act(self).await;
        self.process = run(self.cloud, self.folder.path(), &self.address).await;
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn run(cloud: Cloud, folder: &Path, address: &str) -> Child {
    let mut server = cloud.server(folder, address);
    let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    eventually("the bucket's server listens", async || TcpStream::connect(address).await.is_ok()).await;
    process
}
