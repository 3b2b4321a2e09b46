//! Breadth-first search over strong dependency paths (`__bfs()`).
//!
//! A strong path never continues from a recursive reader to a shared holder: the one does not block on
//! the other. Whether a class was reached only through recursive readers is its `only_xr`.

use crate::graph::{Graph, Link, Slot};
use crate::report::{ClassRef, Dependency, PathStep};
use alloc::vec::Vec;

/// How a search treats a class that it meets a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchMode {
    /// As Linux 6.12: a class is done with when it first leaves the queue, even if that path then turns out
    /// weak. A later and better path to it is not followed, so some strong cycles go unseen.
    #[default]
    Kernel,
    /// A class is visited again if a path without `only_xr` reaches it after one with. Finds every strong cycle.
    Complete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

#[derive(Clone, Copy)]
struct Item {
    class: Slot,
    only_xr: bool,
    /// Position of the item this one was reached from, and of the link within its list.
    parent: Option<(u32, u32)>,
}

/// The search's scratch memory, kept between searches.
#[derive(Default)]
pub(crate) struct Queue {
    items: Vec<Item>,
    generation: u32,
}

/// Where a search starts and how it goes.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    pub(crate) mode: SearchMode,
    pub(crate) root: Slot,
    /// Whether the root itself counts as reached through recursive readers only.
    pub(crate) only_xr: bool,
    pub(crate) direction: Direction,
    /// Leave out classes that are no locks as far as interrupts are concerned, and all paths through them.
    pub(crate) skip: bool,
}

/// The item of the last search that matched.
#[derive(Clone, Copy)]
pub(crate) struct Match(u32);

impl Graph {
    /// Runs the search until `matches` accepts a class. The order is that of the kernel: first in, first out,
    /// edges in the order in which they were added.
    pub(crate) fn search(
        &mut self,
        search: Search,
        mut matches: impl FnMut(&Graph, Slot, bool) -> bool,
    ) -> Option<Match> {
        let mut queue = core::mem::take(&mut self.queue);
        let found = self.run(&mut queue, search, &mut matches);
        self.queue = queue;
        found
    }

    fn run(
        &mut self,
        queue: &mut Queue,
        search: Search,
        matches: &mut impl FnMut(&Graph, Slot, bool) -> bool,
    ) -> Option<Match> {
        let generation = self.next_generation(queue);
        queue.items.clear();
        queue.items.push(Item {
            class: search.root,
            only_xr: search.only_xr,
            parent: None,
        });
        let mut head = 0;
        while let Some(&Item { class, parent, .. }) = queue.items.get(head) {
            let at = head as u32;
            head += 1;
            if search.mode == SearchMode::Kernel && !self.visit(class, 0, generation) {
                continue;
            }
            if let Some((from, link)) = parent {
                let parent = queue.items[from as usize];
                let Some(only_xr) = self.links(parent.class, search.direction)[link as usize]
                    .follow(parent.only_xr)
                else {
                    continue;
                };
                queue.items[at as usize].only_xr = only_xr;
            }
            let only_xr = queue.items[at as usize].only_xr;
            if search.mode == SearchMode::Complete && !self.visit_better(class, only_xr, generation)
            {
                continue;
            }
            if search.skip && self.class(class).skips_irq {
                continue;
            }
            if matches(self, class, only_xr) {
                return Some(Match(at));
            }
            let next = self.links(class, search.direction).iter().enumerate();
            queue.items.extend(next.map(|(n, link)| Item {
                class: link.to,
                only_xr: false,
                parent: Some((at, n as u32)),
            }));
        }
        None
    }

    fn links(&self, class: Slot, direction: Direction) -> &[Link] {
        match direction {
            Direction::Forwards => &self.class(class).after,
            Direction::Backwards => &self.class(class).before,
        }
    }

    /// Marks the class as visited; false if it was.
    fn visit(&mut self, class: Slot, which: usize, generation: u32) -> bool {
        let visited = &mut self.class_mut(class).visited[which];
        core::mem::replace(visited, generation) != generation
    }

    /// Whoever comes without `only_xr` can go wherever one with it can.
    fn visit_better(&mut self, class: Slot, only_xr: bool, generation: u32) -> bool {
        if self.class(class).visited[0] == generation {
            return false;
        }
        self.visit(class, usize::from(only_xr), generation)
    }

    fn next_generation(&mut self, queue: &mut Queue) -> u32 {
        queue.generation = queue.generation.wrapping_add(1);
        if queue.generation == 0 {
            self.forget_visits();
            queue.generation = 1;
        }
        queue.generation
    }

    pub(crate) fn matched(&self, found: Match) -> Slot {
        self.queue.items[found.0 as usize].class
    }

    /// The path of the last search, root first.
    pub(crate) fn path(&self, found: Match, direction: Direction) -> Vec<PathStep> {
        let mut path = Vec::new();
        let mut at = found.0;
        loop {
            let item = self.queue.items[at as usize];
            let dependency = item.parent.map(|(from, n)| {
                let link = self.links(self.queue.items[from as usize].class, direction)[n as usize];
                link.describe(direction)
            });
            path.push(PathStep {
                class: self.describe(item.class),
                dependency,
            });
            match item.parent {
                Some((from, _)) => at = from,
                None => break,
            }
        }
        path.reverse();
        path
    }

    /// A class for a report.
    pub(crate) fn describe(&self, slot: Slot) -> ClassRef {
        let class = self.class(slot);
        self.class_ref(class.id, class.usage)
    }

    pub(crate) fn class_ref(&self, id: crate::ClassId, usage: crate::Usage) -> ClassRef {
        let key = self.key_of(id);
        let inner = key.wait_type_inner;
        let outer = if key.wait_type_outer == crate::WaitType::Inv {
            inner
        } else {
            key.wait_type_outer
        };
        ClassRef {
            id,
            name: key.name.clone(),
            usage,
            wait_type_inner: inner,
            wait_type_outer: outer,
        }
    }
}

impl Link {
    /// The `only_xr` of whoever is reached over this link, or `None` if the path would not be strong.
    fn follow(&self, only_xr: bool) -> Option<bool> {
        let deps = if only_xr {
            self.deps.exclusive_only()
        } else {
            self.deps
        };
        (!deps.is_empty()).then(|| deps.only_recursive())
    }

    fn describe(&self, direction: Direction) -> Dependency {
        let deps = if direction == Direction::Forwards {
            self.deps
        } else {
            self.deps.mirrored()
        };
        Dependency {
            deps,
            prev: self.traces[0],
            next: self.traces[1],
        }
    }
}
