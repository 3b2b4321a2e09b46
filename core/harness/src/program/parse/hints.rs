//! What kernel developers write first, and what it is called here.

/// Kernel calls that are spelled differently, with the operation that means the same.
const CALLS: &[(&str, &str)] = &[
    ("mutex_lock", "lock L"),
    ("mutex_lock_nested", "lock L nested 1"),
    ("mutex_unlock", "unlock L"),
    ("mutex_trylock", "trylock L { … } else { … }"),
    ("rt_mutex_lock", "lock L"),
    ("rt_mutex_unlock", "unlock L"),
    ("local_lock", "lock L"),
    ("spin_lock", "lock L"),
    ("spin_lock_nested", "lock L nested 1"),
    ("spin_lock_bh", "lock L bh"),
    ("spin_lock_irq", "lock L irq"),
    ("spin_lock_irqsave", "lock L irqsave"),
    ("spin_unlock", "unlock L"),
    ("spin_unlock_bh", "unlock L bh"),
    ("spin_unlock_irq", "unlock L irq"),
    ("spin_unlock_irqrestore", "unlock L irqrestore"),
    ("spin_trylock", "trylock L { … } else { … }"),
    ("raw_spin_lock", "lock L"),
    ("raw_spin_lock_irqsave", "lock L irqsave"),
    ("raw_spin_unlock", "unlock L"),
    ("read_lock", "read L"),
    ("write_lock", "write L"),
    ("down_read", "read L"),
    ("down_write", "write L"),
    ("down_read_trylock", "tryread L { … } else { … }"),
    ("down_write_trylock", "trylock L { … } else { … }"),
    ("up_read", "read_unlock L"),
    ("up_write", "unlock L"),
    ("downgrade_write", "downgrade L"),
    ("percpu_down_read", "read L"),
    ("percpu_up_read", "read_unlock L"),
    ("percpu_down_write", "write L"),
    ("percpu_up_write", "unlock L"),
    ("bit_spin_lock", "lock L"),
    ("write_seqlock", "write S { … }"),
    ("read_seqbegin", "read S { … }"),
    ("srcu_read_lock", "read S"),
    ("srcu_read_unlock", "read_unlock S"),
    ("lock_map_acquire", "map_acquire M"),
    ("lock_map_release", "map_release M"),
    ("kfree", "free p"),
    ("__free_pages", "free p"),
    ("free_pages", "free p"),
    ("kmem_cache_alloc", "kmalloc GFP_KERNEL"),
    ("folio_lock", "lock_page A"),
    ("folio_unlock", "unlock_page A"),
    ("folio_mark_dirty", "set_page_dirty A"),
    ("folio_start_writeback", "set_page_writeback A"),
    ("folio_end_writeback", "end_page_writeback A"),
    ("folio_wait_writeback", "wait_on_page_writeback A"),
    ("timer_delete_sync", "del_timer_sync T"),
    ("timer_delete", "del_timer T"),
    ("filemap_fdatawrite", "writepages M"),
    ("mem_cgroup_charge", "try_charge G GFP_KERNEL"),
];

/// Advice for a word that is no operation, when there is any.
pub(super) fn for_operation(word: &str) -> Option<String> {
    if word == "else" {
        return Some("`else` stands on the line of the `}` before it: `} else {`".to_owned());
    }
    let (_, here) = CALLS.iter().find(|(call, _)| *call == word)?;
    Some(format!("here it is `{here}`"))
}

#[cfg(test)]
mod tests {
    use super::super::operation_words;
    use super::*;

    #[test]
    fn hints_name_operations_and_only_for_words_that_are_none() {
        let words = operation_words();
        for (call, here) in CALLS {
            let first = here.split(' ').next().expect("a word");
            assert!(words.contains(&first), "{here}");
            assert!(!words.contains(call), "{call} is an operation itself");
        }
    }
}
