#!/bin/bash -eu
# Builds all targets as OSS-Fuzz and ClusterFuzzLite want them: binaries, seed corpora, dictionaries and options in $OUT.
# Runs in their images, with SRC, OUT, SANITIZER and RUSTFLAGS set by them; ci/oss-fuzz/test runs it without an image.

cd "$SRC/ksplat"
# Tasks have stacks of their own, which stops unwind. AddressSanitizer knows one stack a thread: what it poisons on another
# one stays poisoned after unwinding. So stack variables are left out; heap and globals are watched.
[ "$SANITIZER" != address ] || export RUSTFLAGS="${RUSTFLAGS:-} -Cllvm-args=-asan-stack=0"
cargo fuzz build -O --debug-assertions
target_directory=$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)
built=$target_directory/$ARCHITECTURE-unknown-linux-gnu/release
# The canary crashes on purpose.
for target in $(cargo fuzz list | grep -v '^canary$'); do
    cp "$built/$target" "$OUT/"
    zip -q -j -r "$OUT/${target}_seed_corpus.zip" "corpus/fuzz/$target"
    # As ci/fuzz-target has it.
    cp ci/oss-fuzz/libfuzzer.options "$OUT/$target.options"
    case $target in
        program | program_shuttle | schedule) echo "use_counters = 0" >> "$OUT/$target.options" ;;
        page_alloc) sed -i 's/^max_len = .*/max_len = 64/' "$OUT/$target.options" ;;
    esac
done
ci/oss-fuzz/dictionary > "$OUT/text.dict"
