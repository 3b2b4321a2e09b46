//! `ksplat lockdep`: executes lock programs and compares with recorded answers.

use crate::output::complain;
use clap::ValueEnum;
use ksplat_harness::lockdep::{
    Answer, Difference, Event, Missed, Row, Runner, SearchMode, run_file, run_rows,
};
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const OPERATIONS: &str = "\
Rows are JSON objects, one a line:
  {\"id\": …, \"classes\": {\"A\": \"spin\", …}, \"locks\": {\"a1\": \"A\", …}, \"ops\": [\"L a1\", …]}
and, where an answer is recorded, \"verdict\", \"op\", \"title\", \"detail\", \"graph\", \"queries\".

Types of classes: raw_spin spin rwlock local mutex rwsem rtmutex inv rcu_like override override_sleep.

Operations:
  THREAD n                   the following are executed by thread n (0 to 7), on its own CPU
  L x [read=0|1|2] [try] [sub=n] [nest=y] [nocheck]    lock_acquire()
  U x                        lock_release()
  SYNC x …                   lock_sync(), flags as for L
  DG x / SETSUB x n          lock_downgrade() / lock_set_subclass()
  PIN x / UNPIN x            lock_pin_lock() / lock_unpin_lock()
  INIT x / FREE x            debug_check_no_locks_freed(), INIT then initialises the lock again
  EXIT / SYSEXIT             debug_check_no_locks_held() / lockdep_sys_exit()
  Q x r / ASSERT x r         lock_is_held_type() / lockdep_assert_held(); r: -1 any, 0 writer, 1 reader
  IRQ- IRQ+ BH- BH+          local_irq_disable() and so on
  HARDIRQ{ [nothread] … HARDIRQ}    SOFTIRQ{ … SOFTIRQ}
  RCU{ RCU} RCUBH{ RCUBH} RCUSCHED{ RCUSCHED}    read-side sections
  SLEEP                      might_sleep()
  ALLOC gfp                  might_alloc()
  RECLAIM{ gfp … RECLAIM} gfp    fs_reclaim_acquire(), fs_reclaim_release()
  NORECLAIM{ } NOFS{ } NOIO{ }   memalloc_*_save(), memalloc_*_restore()

Exit status: 0 if all recorded answers agree, 1 if one does not, 2 if a file or row cannot be read.";

/// Execute lock programs on the lockdep engine
///
/// Rows with a recorded verdict are compared, and every difference is printed; for rows without one the
/// answer is printed as a row.
#[derive(Debug, clap::Args)]
#[command(after_long_help = OPERATIONS)]
pub struct Args {
    /// Files of JSON rows, plain or gzipped; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How dependencies are searched: as the kernel does, or so that no strong cycle is missed
    #[arg(long, value_enum, default_value_t = Search::Kernel)]
    search: Search,
    /// List the programs that the complete search reports, or reports earlier, and the kernel's does not
    #[arg(long, conflicts_with = "search")]
    missed: bool,
    /// Print the full report of every program that has one, as the kernel would print it
    #[arg(long, conflicts_with_all = ["json", "missed"])]
    reports: bool,
    /// Print differences and the summary as JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Search {
    Kernel,
    Complete,
}

#[derive(Serialize)]
struct DifferingRow<'a> {
    file: &'a str,
    line: u64,
    id: &'a str,
    differences: &'a [Difference],
}

#[derive(Default, Serialize)]
struct Summary {
    agree: u64,
    rows: u64,
    malformed: u64,
}

#[derive(Default, Serialize)]
struct MissedSummary {
    programs: u64,
    missed: u64,
    reported_later: u64,
    malformed: u64,
}

/// What the command is asked to do with each row.
enum Task {
    Compare {
        runner: Box<Runner>,
        summary: Summary,
    },
    Missed {
        search: Box<Missed>,
        summary: MissedSummary,
    },
}

struct Command<'a, W, E> {
    args: &'a Args,
    out: W,
    err: E,
    task: Task,
    bad_input: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let out = BufWriter::new(io::stdout().lock());
    match Command::new(args, out, io::stderr().lock()).all() {
        Ok(status) => ExitCode::from(status),
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("ksplat: standard output: {error}"));
            ExitCode::from(2)
        }
    }
}

impl<'a, W: Write, E: Write> Command<'a, W, E> {
    fn new(args: &'a Args, out: W, err: E) -> Self {
        let mode = match args.search {
            Search::Kernel => SearchMode::Kernel,
            Search::Complete => SearchMode::Complete,
        };
        let task = match args.missed {
            true => Task::Missed {
                search: Box::default(),
                summary: MissedSummary::default(),
            },
            false => Task::Compare {
                runner: Box::new(Runner::new(mode)),
                summary: Summary::default(),
            },
        };
        Self {
            args,
            out,
            err,
            task,
            bad_input: false,
        }
    }

    /// Does it all and gives the exit status.
    fn all(&mut self) -> io::Result<u8> {
        for file in &self.args.files {
            self.file(file)?;
        }
        let agreed = self.summarise()?;
        self.out.flush()?;
        Ok(match (self.bad_input, agreed) {
            (true, _) => 2,
            (false, false) => 1,
            (false, true) => 0,
        })
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.display().to_string();
        let mut written = Ok(());
        let visit = |line, event| {
            if written.is_ok() {
                written = self.event(&name, line, event);
            }
        };
        let read = match name.as_str() {
            "-" => run_rows(io::stdin().lock(), visit),
            _ => run_file(path, visit),
        };
        written?;
        if let Err(error) = read {
            self.out.flush()?;
            writeln!(self.err, "{name}: {error}")?;
            self.bad_input = true;
        }
        Ok(())
    }

    fn event(&mut self, file: &str, line: u64, event: Event) -> io::Result<()> {
        match event {
            Event::Row(row) => self.row(file, line, &row),
            Event::Malformed(error) => {
                self.bad_input = true;
                match &mut self.task {
                    Task::Compare { summary, .. } => summary.malformed += 1,
                    Task::Missed { summary, .. } => summary.malformed += 1,
                }
                self.out.flush()?;
                writeln!(self.err, "{file}:{line}: {error}")
            }
        }
    }

    fn row(&mut self, file: &str, line: u64, row: &Row) -> io::Result<()> {
        let (out, json) = (&mut self.out, self.args.json);
        let (runner, summary) = match &mut self.task {
            Task::Compare { runner, summary } => (runner, summary),
            Task::Missed { search, summary } => {
                return missed(out, json, file, line, row, search, summary);
            }
        };
        let answer = runner.run(&row.program);
        if self.args.reports {
            print_report(out, file, line, row, &answer)?;
        }
        let Some(expected) = &row.expected else {
            return match self.args.reports {
                true => Ok(()),
                false => print_json(out, &answer),
            };
        };
        let differences = answer.differences(expected);
        summary.rows += 1;
        if differences.is_empty() {
            summary.agree += 1;
            return Ok(());
        }
        let id = &row.program.id;
        if json {
            return print_json(
                out,
                &DifferingRow {
                    file,
                    line,
                    id,
                    differences: &differences,
                },
            );
        }
        writeln!(out, "{file}:{line}: {id}")?;
        differences
            .iter()
            .try_for_each(|difference| writeln!(out, "    {difference}"))
    }

    /// Prints the summary; false if an answer differed.
    fn summarise(&mut self) -> io::Result<bool> {
        let (out, json) = (&mut self.out, self.args.json);
        match &self.task {
            Task::Missed { summary, .. } if json => print_json(out, summary)?,
            Task::Missed { summary, .. } => writeln!(
                out,
                "of {} programs the kernel's search misses the report of {} and reports {} later",
                summary.programs, summary.missed, summary.reported_later
            )?,
            Task::Compare { summary, .. } if json && summary.rows > 0 => print_json(out, summary)?,
            Task::Compare { summary, .. } if summary.rows > 0 => {
                writeln!(out, "agree {} of {}", summary.agree, summary.rows)?;
            }
            Task::Compare { .. } => {}
        }
        Ok(match &self.task {
            Task::Compare { summary, .. } => summary.agree == summary.rows,
            Task::Missed { .. } => true,
        })
    }
}

fn print_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

fn print_report(
    out: &mut impl Write,
    file: &str,
    line: u64,
    row: &Row,
    answer: &Answer,
) -> io::Result<()> {
    let Some(report) = &answer.report else {
        return Ok(());
    };
    writeln!(out, "{file}:{line}: {}", row.program.id)?;
    writeln!(out, "{}", report.render(&row.program))
}

fn missed(
    out: &mut impl Write,
    json: bool,
    file: &str,
    line: u64,
    row: &Row,
    search: &mut Missed,
    summary: &mut MissedSummary,
) -> io::Result<()> {
    summary.programs += 1;
    let Some(missed) = search.look(&row.program) else {
        return Ok(());
    };
    match missed.kernel.op {
        -1 => summary.missed += 1,
        _ => summary.reported_later += 1,
    }
    if json {
        return print_json(out, &missed);
    }
    writeln!(out, "{file}:{line}: {}", row.program.id)?;
    writeln!(out, "{missed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// Exit status, standard output and standard error for a file with this content.
    fn ksplat(name: &str, content: &str, flags: &[&str]) -> (u8, String, String) {
        let path =
            std::env::temp_dir().join(format!("ksplat-lockdep-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("a writable temporary directory");
        let file = path.to_str().expect("a path in UTF-8");
        let cli = Cli::parse_from(["ksplat", file].iter().chain(flags));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = Command::new(&cli.args, &mut out, &mut err)
            .all()
            .expect("memory does not fail");
        std::fs::remove_file(&path).expect("it was there");
        let text = |bytes| {
            String::from_utf8(bytes)
                .expect("UTF-8")
                .replace(file, "FILE")
        };
        (status, text(out), text(err))
    }

    const PROGRAM: &str =
        r#"{"id":"x","classes":{"A":"spin"},"locks":{"a":"A"},"ops":["L a","L a"]"#;

    #[test]
    fn answers_are_rows() {
        let (status, out, err) = ksplat("answer", &format!("{PROGRAM}}}\n"), &[]);
        assert_eq!((status, err.as_str()), (0, ""));
        let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            (&answer["id"], &answer["verdict"], &answer["op"]),
            (&"x".into(), &"recursive".into(), &1.into())
        );
        assert_eq!(answer["graph"]["usage"]["A"][0], "HARDIRQ-ON-W");
        assert_eq!(answer["detail"]["same_instance"], "1");
    }

    #[test]
    fn agreement_and_difference() {
        let agree = format!(r#"{PROGRAM},"verdict":"recursive","op":1}}"#);
        assert_eq!(
            ksplat("agree", &agree, &[]),
            (0, "agree 1 of 1\n".into(), String::new())
        );
        let differ = format!(r#"{PROGRAM},"verdict":"ok","op":-1}}"#);
        let (status, out, _) = ksplat("differ", &format!("{agree}\n{differ}"), &[]);
        let lines = "FILE:2: x\n    verdict: expected \"ok\", got \"recursive\"\n    op: expected -1, got 1\nagree 1 of 2\n";
        assert_eq!((status, out.as_str()), (1, lines));
        let (status, out, _) = ksplat("json", &differ, &["--json"]);
        assert_eq!(status, 1);
        let last: serde_json::Value =
            serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
        assert_eq!((&last["agree"], &last["rows"]), (&0.into(), &1.into()));
    }

    #[test]
    fn malformed_rows_are_named_and_the_rest_is_done() {
        let bad = PROGRAM.replace("L a\",\"L a", "L a\",\"M a");
        let good = format!(r#"{PROGRAM},"verdict":"recursive"}}"#);
        let (status, out, err) = ksplat("bad", &format!("{bad}}}\nnonsense\n\n{good}\n"), &[]);
        assert_eq!((status, out.as_str()), (2, "agree 1 of 1\n"));
        assert_eq!(
            err,
            "FILE:1: ops[1] `M a`: unknown operation `M`\nFILE:2: expected ident at column 2\n"
        );
    }

    #[test]
    fn a_missing_or_damaged_file_is_bad_input() {
        let damaged = "\u{1f}";
        let cli = Cli::parse_from(["ksplat", "/nonexistent/rows"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(
            Command::new(&cli.args, &mut out, &mut err)
                .all()
                .expect("memory"),
            2
        );
        assert!(String::from_utf8_lossy(&err).starts_with("/nonexistent/rows: "));
        assert_eq!(ksplat("damaged", damaged, &[]).0, 2);
    }
}
