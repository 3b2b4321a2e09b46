//! Edits that make one line simpler: fewer words, smaller numbers, plainer masks.

use super::edits::{closes, words};

/// Texts with one line made simpler. The parser is who says whether it still means something.
pub(super) fn simpler_lines(lines: &[String]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let head = words(line).next();
        if closes(line) || matches!(head, None | Some("splat" | "zone" | "rules")) {
            continue;
        }
        for simpler in simpler(line) {
            let mut text = lines.to_vec();
            text[at] = simpler;
            out.push(text);
        }
    }
    out
}

/// Simpler versions of a line, the simplest first.
fn simpler(line: &str) -> Vec<String> {
    let start = line.len() - line.trim_start().len();
    let tokens: Vec<&str> = line[start..].split(' ').collect();
    let join = |tokens: &[&str]| format!("{}{}", &line[..start], tokens.join(" "));
    let mut out = Vec::new();
    // `nested 1`, `order 2`, `class X`: a word with its operand goes as a whole.
    for width in [2, 1] {
        for at in 1..tokens.len().saturating_sub(width - 1) {
            let kept = [&tokens[..at], &tokens[at + width..]].concat();
            out.push(join(&kept));
        }
    }
    for at in 1..tokens.len() {
        for other in simpler_token(tokens[at]) {
            let mut tokens = tokens.clone();
            tokens[at] = &other;
            out.push(join(&tokens));
        }
    }
    out.retain(|l| l != line && l.ends_with('{') == line.ends_with('{'));
    out
}

/// Simpler words for a word: smaller numbers, masks with fewer bits, plainer locks.
fn simpler_token(token: &str) -> Vec<String> {
    if let Ok(n) = token.parse::<u32>() {
        let mut smaller = vec![0, 1, n / 2, n.saturating_sub(1)];
        smaller.dedup();
        return smaller
            .into_iter()
            .filter(|&s| s < n)
            .map(|s| s.to_string())
            .collect();
    }
    if token.contains("GFP_") {
        return simpler_mask(token);
    }
    Vec::new()
}

fn simpler_mask(mask: &str) -> Vec<String> {
    let bits: Vec<&str> = mask.split('|').collect();
    let mut out = Vec::new();
    if mask != "GFP_KERNEL" && !mask.starts_with('~') && !mask.starts_with('(') {
        out.push("GFP_KERNEL".to_owned());
    }
    for at in 1..bits.len() {
        out.push([&bits[..at], &bits[at + 1..]].concat().join("|"));
    }
    if bits.len() > 1 && bits[0] != "GFP_KERNEL" && bits[0].starts_with("GFP_") {
        let mut plain = bits.clone();
        plain[0] = "GFP_KERNEL";
        out.push(plain.join("|"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_masks_get_simpler() {
        let out = simpler("    p = alloc_pages GFP_NOFS|__GFP_NOWARN order 3 pressure reclaim");
        let has = |l: &str| out.iter().any(|o| o == l);
        assert!(has(
            "    p = alloc_pages GFP_NOFS|__GFP_NOWARN order 3 pressure"
        ));
        assert!(has(
            "    p = alloc_pages GFP_KERNEL order 3 pressure reclaim"
        ));
        assert!(has("    p = alloc_pages GFP_NOFS order 3 pressure reclaim"));
        assert!(has(
            "    p = alloc_pages GFP_NOFS|__GFP_NOWARN order 0 pressure reclaim"
        ));
        assert!(has(
            "    p = alloc_pages GFP_NOFS|__GFP_NOWARN pressure reclaim"
        ));
        assert!(out.iter().all(|o| o.len() < 70));
    }

    #[test]
    fn heads_of_blocks_stay_heads() {
        assert!(simpler("    lock a irqsave {").contains(&"    lock a {".to_owned()));
        assert!(simpler("    lock a {").iter().all(|l| l.ends_with('{')));
    }
}
