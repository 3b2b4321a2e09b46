//! `ksplat lockdep`: executes lock programs and compares with recorded answers.

use clap::ValueEnum;
use ksplat_harness::lockdep::{Answer, Difference, Event, Missed, Row, Runner, run_file, run_rows};
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

struct Command<'a, W> {
    args: &'a Args,
    out: W,
    task: Task,
    bad_input: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let mode = match args.search {
        Search::Kernel => ksplat_harness::lockdep::SearchMode::Kernel,
        Search::Complete => ksplat_harness::lockdep::SearchMode::Complete,
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
    let mut command = Command {
        args,
        out: BufWriter::new(io::stdout().lock()),
        task,
        bad_input: false,
    };
    match command.all() {
        Ok(status) => status,
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksplat: standard output: {error}");
            ExitCode::from(2)
        }
    }
}

impl<W: Write> Command<'_, W> {
    fn all(&mut self) -> io::Result<ExitCode> {
        for file in &self.args.files {
            self.file(file)?;
        }
        let agreed = self.summarise()?;
        self.out.flush()?;
        Ok(match (self.bad_input, agreed) {
            (true, _) => ExitCode::from(2),
            (false, false) => ExitCode::from(1),
            (false, true) => ExitCode::SUCCESS,
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
            eprintln!("{name}: {error}");
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
                eprintln!("{file}:{line}: {error}");
                Ok(())
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
