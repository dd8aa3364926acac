# Each recipe is one line of plain shell that also works alone.

# Format and lints, as CI wants them.
check:
    cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings && cargo clippy --workspace --all-targets --features unstable_nts-pool -- -D warnings

# All tests.
test:
    cargo test --workspace --features unstable_nts-pool

# The end-to-end tests alone: real TLS and UDP on loopback.
e2e:
    cargo test --package testkit --features unstable_nts-pool

# What things cost: choosing a source, answering, exchanging keys (see docs/performance.md).
bench: bench-pick bench-handler bench-codec bench-ntp bench-ke

# What choosing a source costs: less than 100 ns for 1,000 sources of which 3 are denied.
bench-pick:
    cargo bench --package nts-pool-ke --bench pick

# What an answer costs ntp-daemon beside chrony and ntpd-rs (see interop/bench-ntp --help), and how it
# grows with its threads.
bench-ntp:
    cargo build --release --package ntp-daemon --package nts-bench && interop/bench-ntp

# What a key exchange costs, through the pool and straight, beside chrony and ntpd-rs (see
# interop/bench-ke --help).
bench-ke:
    cargo build --release --package ntp-daemon --package nts-pool-ke --package nts-bench --features unstable_nts-pool && interop/bench-ke

# Where the CPU time of a key exchange goes (needs strace, perf and valgrind; see interop/profile-ke
# --help).
profile-ke:
    cargo build --release --package ntp-daemon --package nts-pool-ke --package nts-bench --features unstable_nts-pool && interop/profile-ke

# The server's handler alone, in memory: in time, and in instructions (with valgrind), which a busy
# machine does not change.
bench-handler:
    cargo bench --package nts-proto --bench respond && cargo bench --package nts-proto --bench instructions

# The messages of a key exchange, encoded and decoded, and cookies, sealed and opened, in memory.
bench-codec:
    cargo bench --package nts-proto --bench key_exchange

# What ten thousand idle connections cost a pool, and its users; what balancers' cost that say too little.
bench-silent:
    cargo bench --package testkit --features unstable_nts-pool --bench ten_thousand

# Ten reloads a second, exchanged certificates, authorities and tokens for a minute under load: no user may fail, nothing may grow.
soak:
    cargo bench --package testkit --features unstable_nts-pool --bench soak

# How long users wait while three of ten sources are dead: p99 below twice that of a healthy pool.
bench-dead:
    cargo bench --package testkit --features unstable_nts-pool --bench dead_sources

# The tests of docs/failures.md again and again, beside three busy loops.
failures-under-load rounds="20":
    cargo test --quiet --no-run --package testkit --package nts-pool-ke --features unstable_nts-pool; for _ in 1 2 3; do sh -c 'while kill -0 $PPID 2> /dev/null; do :; done' & done; for round in $(seq {{ rounds }}); do echo "round $round" && cargo test --quiet --package testkit --features unstable_nts-pool --test failures --test selection --test upstream && cargo test --quiet --package nts-pool-ke --features unstable_nts-pool --lib dns_stale || exit 1; done

# Selection and health of a pool with 200 sources and a million users in virtual time.
simulate:
    cargo run --release --package testkit --bin pool-simulation

# How well the clock is kept, in virtual time: the table of docs/clock.md.
simulate-clock seeds="20":
    cargo run --release --package testkit --bin clock-simulation {{ seeds }}

# Every fuzz target for a minute (see fuzz/README.md).
fuzz:
    fuzz/run

# Other implementations against ours (needs Debian's packages; see interop/run --help).
interop:
    cargo build --release --features unstable_nts-pool && interop/run

# Alerts and dashboards (needs promtool, of Debian's package `prometheus`).
monitoring:
    monitoring/check

# Pool, two time sources and a user, with a live table.
demo:
    ./demo

# All that CI runs.
ci:
    .ci/run
