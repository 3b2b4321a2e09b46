//! What a fuzz target says of an input: nothing, or that it is a crash.

use super::class::{class, file_name};
use super::execute::{Executed, execute, oracle, place, run};
use super::input::Input;
use super::known::{Known, Scope, known};
use crate::explore::Random;
use crate::finding::{Signature, signatures};
use crate::program::rules_text::Release;
use crate::program::{Program, RulesText};
use crate::run::Litmus;
use ksplat_kernel::rt::{Deterministic, Feedback};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Schedules in which the newest release is given the chance to show what an older one shows.
const SECOND_LOOK: u64 = 20;
/// The explanation that covers all of an execution.
const MISUSE: &str = "misuse";

/// One thing that an execution showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which of what the execution showed it is: see [`Judged::signature`].
    at: usize,
    /// What kind of thing it is.
    pub class: String,
    /// Why it needs no attention, if it does not.
    pub known: Option<Known>,
}

/// An executed input with what it showed.
#[derive(Debug)]
pub struct Judged {
    /// The execution.
    pub executed: Executed,
    /// Everything it showed, in the order stop, reports, states.
    pub findings: Vec<Finding>,
}

impl Judged {
    /// The name of a finding, with the program's names in it.
    ///
    /// # Panics
    /// If the finding is not one of this execution's.
    #[must_use]
    pub fn signature(&self, finding: &Finding) -> Signature {
        let mut all = signatures(self.executed.litmus.machine(), &self.executed.outcome);
        all.swap_remove(finding.at)
    }

    /// The first finding that nothing explains.
    #[must_use]
    pub fn unknown(&self) -> Option<&Finding> {
        self.findings.iter().find(|f| f.known.is_none())
    }
}

/// What the environment says about a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `KSPLAT_RULES`: the release to fuzz; the newest if not given.
    pub kernel: RulesText,
    /// `KSPLAT_FINDINGS`: where inputs with unexplained findings are put, one a class, instead of crashing.
    pub findings: Option<PathBuf>,
    /// `KSPLAT_CLASS`: the only class of finding that is a crash. A minimiser that sets it keeps what it minimises.
    pub only: Option<String>,
    /// `KSPLAT_FEEDBACK`: kinds of features that are collected, by name with commas between them, `all` or `none`; one
    /// bit a kind here.
    pub feedback: u8,
}

/// A variable of the environment that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={found}: expected {expected}")]
pub struct OptionsError {
    variable: &'static str,
    found: String,
    expected: &'static str,
}

impl Options {
    /// What the environment says.
    ///
    /// # Errors
    /// If `KSPLAT_RULES` is no release, or `KSPLAT_FEEDBACK` names no kind of feedback.
    pub fn from_env() -> Result<Self, OptionsError> {
        let kernel = match std::env::var("KSPLAT_RULES") {
            Err(_) => RulesText::default(),
            Ok(found) => RulesText {
                release: Some(Release::parse(&found).ok_or(OptionsError {
                    variable: "KSPLAT_RULES",
                    found,
                    expected: "a release such as v4.15 or v6.12",
                })?),
                ..RulesText::default()
            },
        };
        Ok(Self {
            kernel,
            findings: std::env::var_os("KSPLAT_FINDINGS").map(PathBuf::from),
            only: std::env::var("KSPLAT_CLASS").ok(),
            feedback: feedback_of(
                &std::env::var("KSPLAT_FEEDBACK").unwrap_or_else(|_| "all".into()),
            )?,
        })
    }
}

/// The kinds of features that a text names.
fn feedback_of(text: &str) -> Result<u8, OptionsError> {
    let all = Feedback::ALL.iter().fold(0, |set, kind| set | kind.bit());
    let one = |word: &str| match word {
        "all" => Some(all),
        "none" | "" => Some(0),
        _ => Feedback::ALL
            .iter()
            .find(|kind| kind.name() == word)
            .map(|kind| kind.bit()),
    };
    let mut words = text.split(',');
    let set = words.try_fold(0, |set, word| Some(set | one(word.trim())?));
    set.ok_or_else(|| OptionsError {
        variable: "KSPLAT_FEEDBACK",
        found: text.to_owned(),
        expected: "all, none, or some of edges,contexts,waits,reads,steps,limits",
    })
}

/// Executes inputs and says what to make of them.
#[derive(Debug, Default)]
pub struct Judge {
    options: Options,
    executor: Deterministic,
    /// The last program and its machine.
    last: Option<(Arc<Program>, Litmus)>,
    /// Features of the last input.
    features: Vec<u16>,
    /// The last input showed something.
    showed: bool,
    /// Executions so far.
    executions: u64,
    /// Explanations by class.
    known: HashMap<String, Option<Known>>,
    /// Classes that are on the disk already.
    saved: HashSet<String>,
}

impl Judge {
    /// A judge with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Executes an input. `Ok`: nothing to be said.
    ///
    /// # Errors
    /// Why the input is a crash: a fault of the machine, or a finding that nothing explains. With
    /// [`Options::findings`] the latter is put there instead, unless that fails.
    pub fn check(&mut self, input: &Input) -> Result<(), String> {
        let Some(judged) = self.judge(input) else {
            return Ok(());
        };
        let verdict = self.verdict(input, &judged);
        self.last = Some((Arc::clone(&input.program), judged.executed.litmus));
        verdict
    }

    fn verdict(&mut self, input: &Input, judged: &Judged) -> Result<(), String> {
        oracle(&judged.executed.outcome)?;
        let wanted = |f: &&Finding| match &self.options.only {
            Some(only) => f.class == *only,
            None => f.known.is_none(),
        };
        let Some(finding) = judged.findings.iter().find(wanted) else {
            return Ok(());
        };
        if self.options.findings.is_some() && self.options.only.is_none() {
            return self.save(input, &finding.class.clone());
        }
        Err(format!("{} ({})", judged.signature(finding), finding.class))
    }

    /// Whether the last input showed anything. What grows out of such an input mostly shows the same, which hides what
    /// there is to be found: a stop ends the execution, and lockdep is silent after a report.
    #[must_use]
    pub const fn showed(&self) -> bool {
        self.showed
    }

    /// The features of the last input that was executed, as numbers below [`ksplat_kernel::rt::FEATURES`].
    #[must_use]
    pub fn features(&self) -> &[u16] {
        &self.features
    }

    /// Executes an input and looks up what it showed. `None`: it cannot be executed.
    pub fn judge(&mut self, input: &Input) -> Option<Judged> {
        self.features.clear();
        self.showed = false;
        let feedback = self.options.feedback;
        let litmus = match self.last.take() {
            Some((program, litmus)) if Arc::ptr_eq(&program, &input.program) => litmus,
            _ => place(input, &self.options.kernel)?,
        };
        litmus.machine().set_feedback(feedback);
        let executed = run(litmus, input, &mut self.executor);
        self.executions += 1;
        if feedback != 0 {
            let machine = executed.litmus.machine();
            machine.take_features(|feature| self.features.push(feature));
            machine.set_feedback(0);
        }
        let outcome = &executed.outcome;
        let nothing =
            outcome.stop.is_none() && outcome.reports.is_empty() && outcome.breaks.is_empty();
        if nothing {
            return Some(Judged {
                executed,
                findings: Vec::new(),
            });
        }
        let machine = executed.litmus.machine();
        let classes = class(&input.program, machine, outcome);
        // A program that misuses what the kernel offers explains whatever else happens.
        let findings = classes.into_iter().enumerate().map(|(at, class)| Finding {
            at,
            known: self.known(&class),
            class,
        });
        let mut findings: Vec<Finding> = findings.collect();
        let misuse = findings
            .iter()
            .filter_map(|f| f.known)
            .find(|k| k.name == MISUSE);
        self.showed = true;
        if misuse.is_some() {
            findings.iter_mut().for_each(|f| f.known = misuse);
        }
        if self
            .options
            .kernel
            .release
            .is_some_and(|r| r < Release::DEFAULT)
            && misuse.is_none()
        {
            self.compare(input, &mut findings);
        }
        Some(Judged { executed, findings })
    }

    /// The explanation of a class, which is looked up once.
    fn known(&mut self, class: &str) -> Option<Known> {
        if let Some(&known) = self.known.get(class) {
            return known;
        }
        let known = known(class);
        self.known.insert(class.to_owned(), known);
        known
    }

    /// Takes back the explanations that do not hold for an older release.
    fn compare(&mut self, input: &Input, findings: &mut [Finding]) {
        let scope = |f: &Finding| f.known.map(|k| k.scope);
        // What is there already is not put there again, explained or not.
        let collected = |f: &Finding| self.options.only.is_none() && self.saved.contains(&f.class);
        let compared = |f: &&Finding| scope(f) == Some(Scope::IfNewestShowsIt) && !collected(f);
        let wanted: Vec<String> = findings
            .iter()
            .filter(compared)
            .map(|f| f.class.clone())
            .collect();
        let shown = if wanted.is_empty() {
            HashSet::new()
        } else {
            self.newest_shows(input, &wanted)
        };
        for finding in findings {
            match scope(finding) {
                Some(Scope::Newest) => finding.known = None,
                // What the newest does not show was fixed since.
                Some(Scope::IfNewestShowsIt) if !shown.contains(&finding.class) => {
                    finding.known = None;
                }
                _ => {}
            }
        }
    }

    /// Which of these classes the newest release shows, in the same schedule or a few others.
    fn newest_shows(&mut self, input: &Input, wanted: &[String]) -> HashSet<String> {
        let mut shown = HashSet::new();
        let newest = RulesText::default();
        let Some(first) = execute(input, &newest, &mut self.executor) else {
            return shown;
        };
        let litmus = &first.litmus;
        let mut note = |outcome: &ksplat_kernel::rt::Outcome| {
            shown.extend(class(&input.program, litmus.machine(), outcome));
            wanted.iter().all(|w| shown.contains(w))
        };
        let mut done = note(&first.outcome);
        let mut random = Random::new(1);
        for _ in 0..SECOND_LOOK {
            if done {
                break;
            }
            done = note(&litmus.run(&mut self.executor, &mut random));
        }
        shown
    }

    /// Puts an input where findings are collected, unless there is one of its class, and says so.
    fn save(&mut self, input: &Input, class: &str) -> Result<(), String> {
        if !self.saved.insert(class.to_owned()) {
            return Ok(());
        }
        let Some(dir) = &self.options.findings else {
            return Ok(());
        };
        let path = dir.join(file_name(class));
        if path.exists() {
            return Ok(());
        }
        eprintln!("{class}: found after {} executions", self.executions);
        crate::hunt::write_whole(&path, &input.encode())
            .map_err(|error| format!("{class}: cannot be saved: {}: {error}", path.display()))
    }
}
