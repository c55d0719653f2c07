//! A worker's process: started with a pipe as its standard input, so that it ends when this process does, however that happens;
//! killed and waited for when its owner is dropped. It knows no scaling.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{io, thread};

use tokio::sync::{oneshot, watch};

use crate::command;
use crate::serve::ServeOptions;

/// A running process; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What a process tells of itself.
#[derive(Debug)]
pub(crate) struct Signs {
    /// Where it listens, once it does.
    pub(crate) ready: oneshot::Receiver<SocketAddr>,
    /// True once it has ended.
    pub(crate) ended: watch::Receiver<bool>,
}

impl Process {
    /// Starts `program`, or this program if there is none, as a server of `options`. It blocks for as long as the kernel needs.
    pub(crate) fn start(program: Option<PathBuf>, options: &ServeOptions) -> io::Result<(Self, Signs)> {
        let program = program.map_or_else(std::env::current_exe, Ok)?;
        let mut child = Command::new(program)
            .args(command::words(options))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        let process = Self { child };
        let (told, ready) = oneshot::channel();
        let (over, ended) = watch::channel(false);
        thread::Builder::new()
            .name("worker output".to_owned())
            .spawn(move || {
                let mut told = Some(told);
                // The end of its output is the end of the process: nobody else has that pipe.
                for line in output
                    .into_iter()
                    .flat_map(|output| io::BufRead::lines(io::BufReader::new(output)))
                {
                    let Ok(line) = line else { break };
                    if let (Some(at), true) = (address(&line), told.is_some()) {
                        // Whoever waited for it may have given up.
                        let _ = told.take().map(|told| told.send(at));
                    }
                }
                let _ = over.send(true);
            })?;
        Ok((process, Signs { ready, ended }))
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is only its status to take.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("ready http://")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_ready_line_is_read() {
        assert_eq!(
            address("ready http://127.0.0.1:80 store http://127.0.0.1:81").map(|at| at.port()),
            Some(80)
        );
        assert_eq!(address("running 3 tests"), None);
        assert_eq!(address("ready http://nowhere"), None);
    }
}
