//! The Rust end of `supervisor.sh`: who starts the processes, and who cleans up when this program is gone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::Result;

/// How long one answer may take: the script waits 5 s before it kills, so this is never reached unless it is stuck.
const ANSWER: Duration = Duration::from_secs(20);
/// How long the clean-up may take: four processes at 5 s each, and the folder.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// A running `supervisor.sh`. Dropping it stops every process that it started, newest first, and removes the folder.
pub struct Supervisor {
    child: Child,
    /// Closing it is what tells the script to clean up; `None` only inside `drop`.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    folder: PathBuf,
}

impl Supervisor {
    /// Starts the script and waits for its folder.
    pub fn start() -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", include_str!("supervisor.sh"), "supervisor"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let commands = child.stdin.take();
        let output = child.stdout.take().ok_or("the supervisor has no output")?;
        let (send, answers) = channel();
        // Ends with the script: its children write to files, nobody else holds this pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut supervisor = Self { child, commands, answers, folder: PathBuf::new() };
        supervisor.folder = PathBuf::from(supervisor.answer()?);
        Ok(supervisor)
    }

    /// The folder of everything that these processes read and write; mode 0700.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process id of the script.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs `command` (program, then arguments) as `name`, output to `NAME.log` in the folder. Gives its process id.
    pub fn run(&mut self, name: &str, command: &[String]) -> Result<u32> {
        if let Some(argument) = command.iter().find(|argument| argument.contains('\n')) {
            return Err(format!("an argument of {name} holds a newline: {argument:?}").into());
        }
        std::fs::write(self.folder.join(format!("{name}.args")), command.join("\n") + "\n")?;
        let answer = self.ask("start", name)?;
        let pid = answer.strip_prefix("started ").and_then(|pid| pid.parse().ok());
        pid.ok_or_else(|| format!("{name} did not start: {answer}").into())
    }

    /// Stops `name`: TERM, and KILL after 5 s. Stopping what does not run is no error.
    pub fn stop(&mut self, name: &str) -> Result<()> {
        self.ask("stop", name).map(drop)
    }

    /// Kills `name` at once, as a crash would.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.ask("kill", name).map(drop)
    }

    /// Whether `name` runs.
    pub fn alive(&mut self, name: &str) -> Result<bool> {
        Ok(self.ask("alive", name)? == "yes")
    }

    fn ask(&mut self, verb: &str, name: &str) -> Result<String> {
        let commands = self.commands.as_mut().ok_or("the supervisor is being stopped")?;
        writeln!(commands, "{verb} {name}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        self.answers.recv_timeout(ANSWER).map_err(|_| "the supervisor of the control plane does not answer".into())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.commands = None;
        let end = Instant::now() + CLEAN_UP;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("the control plane in {} is not cleaned up after {CLEAN_UP:?}", self.folder.display());
    }
}
