//! MCP servers over standard input and output as a target: processes of a command, started together, behind a port of loopback that
//! speaks streamable HTTP. `/mcp/1`, `/mcp/2` and so on are the processes; connections to `/mcp` are dealt to them in turn.
//!
//! The load path knows HTTP only, so a request's time contains this bridge: one hop over loopback and one line each way. It
//! changes no message but its number, and judges nothing.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Most processes.
const PROCESSES_MAX: u32 = 64;
/// How long a process may take to answer its first message, and any other.
const FIRST_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(600);
/// How long it may take to end once its input has ended.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest head, body and line that are read.
const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Where the bridge speaks MCP: with a process that it chose itself, and below it with the one of that number.
const PATH: &str = "/mcp";
const NUMBERED: &str = "/mcp/";

/// Running processes behind a port. Dropping it ends them.
pub(crate) struct Bridge {
    processes: Vec<Arc<Process>>,
    children: Vec<Child>,
    stop: Arc<AtomicBool>,
    /// Where the bridge listens.
    pub(crate) url: String,
}

struct Process {
    input: Mutex<Option<ChildStdin>>,
    waiting: Mutex<HashMap<u64, SyncSender<Value>>>,
    next: AtomicU64,
    /// What it said to `initialize`.
    hello: Mutex<Value>,
}

/// The command of a target `stdio:COMMAND ARGUMENT...`.
pub(crate) fn command(target: &str) -> Option<Vec<String>> {
    let words = target.strip_prefix("stdio:")?;
    Some(words.split_whitespace().map(str::to_owned).collect())
}

/// The command of a preset that speaks over standard input and output, in front of the generation service of another process.
pub(crate) fn preset_command(
    preset: &str,
    upstream: &str,
    knobs: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let program = program
        .into_os_string()
        .into_string()
        .map_err(|_| anyhow::anyhow!("the path of this program is not UTF-8"))?;
    let scale = super::demo::time_scale(preset).to_string();
    let mut words = vec![program];
    words.extend(["serve", preset, "--stdio", "--time-scale", &scale].map(str::to_owned));
    let sets = knobs.iter().map(|(name, value)| format!("{name}={value}"));
    for set in sets.chain([format!("upstream={upstream}")]) {
        words.extend(["--set".to_owned(), set]);
    }
    Ok(words)
}

/// Which of so many processes a path names: `/mcp/3` the third, `/mcp` whichever the connection was dealt to.
fn named(path: &str, dealt: usize, processes: usize) -> Option<usize> {
    let path = path.split('?').next().unwrap_or_default();
    if path == PATH {
        return Some(dealt % processes.max(1));
    }
    let number: usize = path.strip_prefix(NUMBERED)?.parse().ok()?;
    number.checked_sub(1).filter(|index| *index < processes)
}

impl Bridge {
    /// Starts so many processes at the same moment, greets each, and opens a port in front of them.
    pub(crate) fn start(command: &[String], processes: u32) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            bail!("`stdio:` needs a command: stdio:python server.py");
        };
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port for the bridge")?;
        let mut bridge = Self {
            processes: Vec::new(),
            children: Vec::new(),
            stop: Arc::default(),
            url: format!(
                "http://{}",
                listener
                    .local_addr()
                    .context("cannot read the bridge's address")?
            ),
        };
        for _ in 0..processes.clamp(1, PROCESSES_MAX) {
            let mut one = Command::new(program);
            // Ctrl-C in the terminal is for us: they end when their input does.
            std::os::unix::process::CommandExt::process_group(&mut one, 0);
            let started = one
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            let mut child = started.with_context(|| format!("cannot start `{program}`"))?;
            let output = child.stdout.take().context("standard output is piped")?;
            let process = Arc::new(Process {
                input: Mutex::new(child.stdin.take()),
                waiting: Mutex::default(),
                next: AtomicU64::new(1),
                hello: Mutex::default(),
            });
            bridge.children.push(child);
            bridge.processes.push(Arc::clone(&process));
            thread::spawn(move || process.hear(output));
        }
        for process in &bridge.processes {
            process
                .greet()
                .with_context(|| format!("`{program}` is no MCP server over standard input and output"))?;
        }
        let (processes, stop) = (bridge.processes.clone(), Arc::clone(&bridge.stop));
        thread::spawn(move || {
            for (k, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let processes = processes.clone();
                // A connection that breaks is its client's affair.
                thread::spawn(move || drop(serve(&stream, &processes, k)));
            }
        });
        Ok(bridge)
    }

    /// What a reader of the report should know of it.
    pub(crate) fn says(&self) -> String {
        format!(
            "The target is {} process{} over standard input and output, started together. Behind the bridge {PATH}/N is the \
             process of that number, and connections to {PATH} are dealt to them in turn. Times contain this bridge: one hop over \
             loopback for each call.",
            self.processes.len(),
            if self.processes.len() == 1 { "" } else { "es" }
        )
    }

    /// The first process, to be watched.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.children.first().map(Child::id)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for process in &self.processes {
            drop(lock(&process.input).take());
        }
        let deadline = Instant::now() + END_TIMEOUT;
        for child in &mut self.children {
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    fn greet(&self) -> Result<()> {
        let client = json!({"name": "prony", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let answer = self
            .ask(hello, FIRST_TIMEOUT)
            .context("no answer to `initialize`")?;
        if answer.pointer("/result/protocolVersion").is_none() {
            bail!("its answer to `initialize` has no protocol version");
        }
        *lock(&self.hello) = answer;
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    }

    fn say(&self, message: &Value) -> Result<()> {
        let mut line = message.to_string();
        line.push('\n');
        let mut input = lock(&self.input);
        let input = input.as_mut().context("its input is closed")?;
        input.write_all(line.as_bytes())?;
        input.flush()?;
        Ok(())
    }

    /// Sends a request under a number of ours and waits for its answer, which gets the request's own number back.
    fn ask(&self, mut message: Value, timeout: Duration) -> Result<Value> {
        let own = message["id"].take();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        message["id"] = json!(number);
        let (sender, answer) = sync_channel(1);
        lock(&self.waiting).insert(number, sender);
        let answer = self
            .say(&message)
            .and_then(|()| answer.recv_timeout(timeout).context("no answer"));
        lock(&self.waiting).remove(&number);
        let mut answer = answer?;
        answer["id"] = own;
        Ok(answer)
    }

    /// Hands each answer to whoever waits for it, until the output ends.
    fn hear(&self, output: ChildStdout) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(BODY_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
            let message: Option<Value> = serde_json::from_slice(&line).ok();
            let number = message.as_ref().and_then(|m| m.get("id")).and_then(Value::as_u64);
            // Requests and notifications of the server are not for us.
            let is_answer = message.as_ref().is_some_and(|m| m.get("method").is_none());
            if let (Some(message), Some(number), true) = (message, number, is_answer)
                && let Some(sender) = lock(&self.waiting).remove(&number)
            {
                let _ = sender.send(message);
            }
        }
        // Nobody will answer those who wait.
        lock(&self.waiting).clear();
        drop(lock(&self.input).take());
    }

    /// The answer to one message as HTTP says it.
    fn answer(&self, body: &[u8]) -> (u16, Value) {
        let error = |status: u16, code: i32, says: &str| {
            (
                status,
                json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": says}}),
            )
        };
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            return error(400, -32700, "Parse error");
        };
        if !message.is_object() {
            return error(400, -32600, "Invalid Request");
        }
        if message.get("method").and_then(Value::as_str) == Some("initialize") {
            let mut hello = lock(&self.hello).clone();
            hello["id"] = message["id"].clone();
            return (200, hello);
        }
        let sent = if message.get("id").is_some() {
            self.ask(message, TIMEOUT)
        } else {
            let is_begun = message["method"] == "notifications/initialized";
            let said = if is_begun { Ok(()) } else { self.say(&message) };
            return match said {
                Ok(()) => (202, Value::Null),
                Err(_) => error(502, -32000, "the process has ended"),
            };
        };
        match sent {
            Ok(answer) => (200, answer),
            Err(_) => error(502, -32000, "the process gave no answer"),
        }
    }
}

/// Serves the connection of that number until its client closes it.
fn serve(stream: &TcpStream, processes: &[Arc<Process>], dealt: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut head = reader.by_ref().take(HEAD_BYTES_MAX);
        let (mut first, mut length) = (String::new(), 0_u64);
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            match line.split_once(':') {
                _ if line.is_empty() => break,
                _ if first.is_empty() => line.clone_into(&mut first),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                _ => {}
            }
        }
        if length > BODY_BYTES_MAX {
            return Ok(());
        }
        let mut body = vec![0; length as usize];
        reader.read_exact(&mut body)?;
        let mut words = first.split_whitespace();
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let process = named(path, dealt, processes.len()).and_then(|index| processes.get(index));
        let (status, answer) = match (method, process) {
            (Some("POST"), Some(process)) => process.answer(&body),
            (_, Some(_)) => (405, Value::Null),
            _ => (404, Value::Null),
        };
        let body = if answer.is_null() {
            String::new()
        } else {
            answer.to_string()
        };
        let reason = if status < 300 { "OK" } else { "Error" };
        let reply = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        writer.write_all(reply.as_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::{Bridge, command, named};

    /// An MCP server in one line of shell: it answers every request with its number and its own process id.
    const SERVER: &str = r#"while read -r line; do
        id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
        [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"x","pid":%s}}\n' "$id" "$$"
        :
    done"#;

    fn ask(url: &str, message: &str) -> String {
        ask_at(url, "/mcp", message)
    }

    fn ask_at(url: &str, path: &str, message: &str) -> String {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        let length = message.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{message}"
        )
        .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn connections_are_dealt_to_processes_and_numbers_come_back() {
        let words = ["sh".to_owned(), "-c".to_owned(), SERVER.to_owned()];
        let bridge = Bridge::start(&words, 2).unwrap();
        let pids: std::collections::BTreeSet<String> = (0..4)
            .map(|k| {
                let answer = ask(
                    &bridge.url,
                    &format!("{{\"jsonrpc\":\"2.0\",\"id\":\"mine-{k}\",\"method\":\"tools/list\"}}"),
                );
                assert!(
                    answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("\"mine-{k}\"")),
                    "{answer}"
                );
                answer
                    .split("\"pid\":")
                    .nth(1)
                    .unwrap()
                    .split(['}', ','])
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(pids.len(), 2, "{pids:?}");
        assert!(ask(&bridge.url, "nonsense").starts_with("HTTP/1.1 400"));
        assert!(
            ask(
                &bridge.url,
                "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
            )
            .starts_with("HTTP/1.1 202")
        );
    }

    #[test]
    fn a_number_in_the_path_names_the_process() {
        let words = ["sh".to_owned(), "-c".to_owned(), SERVER.to_owned()];
        let bridge = Bridge::start(&words, 3).unwrap();
        let list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
        let asked = |path: &str| {
            let answer = ask_at(&bridge.url, path, list);
            answer
                .split("\"pid\":")
                .nth(1)
                .map(|rest| rest.split(['}', ',']).next().unwrap().to_owned())
        };
        let first: Vec<_> = (1..=3).map(|k| asked(&format!("/mcp/{k}")).unwrap()).collect();
        let again: Vec<_> = (1..=3)
            .rev()
            .map(|k| asked(&format!("/mcp/{k}")).unwrap())
            .collect();
        assert_eq!(first, again.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(
            first.iter().collect::<std::collections::BTreeSet<_>>().len(),
            3,
            "{first:?}"
        );
        for nobody in ["/mcp/0", "/mcp/4", "/mcp/x", "/"] {
            assert!(
                ask_at(&bridge.url, nobody, list).starts_with("HTTP/1.1 404"),
                "{nobody}"
            );
        }
        assert_eq!(
            (named("/mcp", 5, 3), named("/mcp/2?a=b", 5, 3)),
            (Some(2), Some(1))
        );
        assert!(bridge.says().contains("3 processes"));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        assert!(Bridge::start(&["true".to_owned()], 1).is_err());
        assert!(Bridge::start(&["no-such-program-7c1e".to_owned()], 1).is_err());
        assert!(Bridge::start(&[], 1).is_err());
        assert_eq!(command("stdio:python x.py").unwrap(), ["python", "x.py"]);
        assert!(command("http://x").is_none());
    }
}
