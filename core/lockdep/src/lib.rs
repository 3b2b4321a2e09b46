//! A lock validator with the semantics of Linux 6.12's lockdep.
#![allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(crate) u16);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockMap {
    pub key: Key,
    pub instance: u32,
}
impl LockMap {
    pub fn new(key: Key, instance: u32) -> Self {
        Self { key, instance }
    }
}
#[derive(Debug)]
pub struct TaskState;
impl TaskState {
    pub fn new(_id: u32) -> Self {
        TaskState
    }
    pub fn reset(&mut self) {}
}
#[derive(Debug, Default)]
pub struct Config;
#[derive(Clone, Debug)]
pub struct Report;
#[derive(Debug)]
pub struct Lockdep;
impl Lockdep {
    pub fn new(_: Config) -> Self {
        Self
    }
    pub fn reset(&self) {}
    pub fn take_reports(&self) -> Vec<Report> {
        vec![]
    }
}
