//! A blocking HTTP/1.1 client with one kept-alive connection: enough to measure a server on loopback.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub struct Client {
    address: String,
    connection: BufReader<TcpStream>,
}

pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_owned(), connection: BufReader::new(stream) })
    }

    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send("GET", path, "application/json", &[])
    }

    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> io::Result<Response> {
        self.send("POST", path, content_type, body)
    }

    fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> io::Result<Response> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let stream = self.connection.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.receive()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn receive(&mut self) -> io::Result<Response> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let status_line = self.line()?;
        let status =
            status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad(&status_line))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", n)) => length = n.trim().parse().map_err(|_| bad(&line))?,
                Some(("transfer-encoding", v)) => chunked = v.contains("chunked"),
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = self.line()?;
                let size = usize::from_str_radix(&size, 16).map_err(|_| bad(&size))?;
                let at = body.len();
                body.resize(at + size, 0);
                self.connection.read_exact(&mut body[at..])?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            self.connection.read_exact(&mut body)?;
        }
        Ok(Response { status, body })
    }
}
