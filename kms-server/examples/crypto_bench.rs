//! What the key work costs on this machine: `cargo run --release -p kms-server --example crypto_bench [SECONDS]`.
//!
//! Every rate is a count over SECONDS (default 2) of wall clock, on keys made for the occasion. The last column is the
//! same count over the CPU time that it took, all threads together: what one core does, whoever else uses the machine.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kms_protocol::enums::HashingAlgorithm;
use kms_server::crypto::{
    self, KeyCache, KeyPool, KeySpec, Oaep, PrivateKey, PublicKey, Secret, StoreKey, Workers, generate,
};

/// As the server has it: what it costs is part of what is measured.
#[global_allocator]
static ALLOCATOR: crypto::Allocator = crypto::ALLOCATOR;

struct Sample {
    key: PrivateKey,
    /// SHA-256 with the mask hash SHA-256: aws-lc.
    plain: Vec<u8>,
    /// SHA-256 with the mask hash SHA-1, KMIP's default: the `rsa` crate.
    mixed: Vec<u8>,
}

fn same_hash() -> Oaep {
    Oaep::new(Some(HashingAlgorithm::Sha256), Some(HashingAlgorithm::Sha256), b"").unwrap()
}

fn default_mask() -> Oaep {
    Oaep::new(Some(HashingAlgorithm::Sha256), None, b"").unwrap()
}

impl Sample {
    fn new(pair: &crypto::KeyPair) -> Self {
        let public = PublicKey::from_spki(&pair.public).unwrap();
        let key = PrivateKey::from_pkcs8(&pair.private).unwrap();
        let file_key = [7; 32];
        Self {
            key,
            plain: public.encrypt(&same_hash(), &file_key).unwrap(),
            mixed: public.encrypt(&default_mask(), &file_key).unwrap(),
        }
    }

    fn decrypt(&self) {
        black_box(self.key.decrypt(&same_hash(), &self.plain).unwrap());
    }

    fn decrypt_mixed(&self) {
        black_box(self.key.decrypt(&default_mask(), &self.mixed).unwrap());
    }
}

/// Calls in one second of wall clock, and in one second of CPU time.
struct Rate {
    wall: f64,
    cpu: Option<f64>,
}

impl Rate {
    fn times(self, factor: f64) -> Self {
        Self { wall: self.wall * factor, cpu: self.cpu.map(|cpu| cpu * factor) }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let wall = format!("{:.0}/s", self.wall);
        match self.cpu {
            Some(cpu) => f.pad(&format!("{wall:>14}{cpu:>12.0}/CPU s")),
            None => f.pad(&wall),
        }
    }
}

/// Calls `work` on `threads` threads for `period`.
fn rate(threads: usize, period: Duration, work: impl Fn() + Sync) -> Rate {
    work();
    let calls = AtomicU64::new(0);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < period {
                    work();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let calls = precise(calls.into_inner());
    let spent = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    Rate { wall: calls / start.elapsed().as_secs_f64(), cpu: spent.map(|spent| calls / spent) }
}

/// CPU time of this process so far; Linux counts it in hundredths of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(precise(ticks) / 100.0)
}

fn precise(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("fewer than four billion calls"))
}

fn median(rounds: usize, work: impl Fn()) -> Duration {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    *times.get(rounds / 2).unwrap()
}

fn line(what: &str, value: impl std::fmt::Display) {
    println!("{what:<64}{value:>14}");
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(2.0, |text| text.parse().expect("SECONDS is a number"));
    let period = Duration::from_secs_f64(seconds);
    let rsa = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];

    #[cfg(target_arch = "x86_64")]
    line("AVX-512 IFMA, which aws-lc's RSA is much faster with", is_x86_feature_detected!("avx512ifma"));
    println!("-- generation, median");
    for (spec, rounds) in
        [(KeySpec::P256, 200), (KeySpec::Rsa2048, 31), (KeySpec::Rsa3072, 15), (KeySpec::Rsa4096, 15)]
    {
        line(
            &spec.to_string(),
            format!("{:.2?}", median(rounds, || drop(black_box(generate(spec).unwrap())))),
        );
    }
    let pairs = rsa.map(|spec| generate(spec).unwrap());
    let samples: Vec<_> = pairs.iter().map(|pair| Arc::new(Sample::new(pair))).collect();

    println!("-- loading a private key, median");
    for (spec, pair) in rsa.iter().zip(&pairs) {
        let load = || drop(black_box(PrivateKey::from_pkcs8(&pair.private).unwrap()));
        line(&spec.to_string(), format!("{:.1?}", median(501, load)));
    }
    line(
        "RSA-2048, first decryption with a mixed mask",
        format!(
            "{:.1?}",
            median(51, || {
                let pair = pairs.first().unwrap();
                let mixed = &samples.first().unwrap().mixed;
                let key = PrivateKey::from_pkcs8(&pair.private).unwrap();
                black_box(key.decrypt(&default_mask(), mixed).unwrap());
            })
        ),
    );

    println!("-- RSA-OAEP decryption, bare");
    for (spec, sample) in rsa.iter().zip(&samples) {
        for threads in [1, 2] {
            line(
                &format!("{spec}, SHA-256 for both, threads: {threads}"),
                rate(threads, period, || sample.decrypt()),
            );
        }
    }
    for (spec, sample) in rsa.iter().zip(&samples) {
        for threads in [1, 2] {
            line(
                &format!("{spec}, SHA-256 with the default mask SHA-1, threads: {threads}"),
                rate(threads, period, || sample.decrypt_mixed()),
            );
        }
    }
    workers(period, &samples);
    around(period, &pairs);
}

fn workers(period: Duration, samples: &[Arc<Sample>]) {
    println!("-- RSA-OAEP decryption through 2 workers");
    let workers = Workers::new(2).unwrap();
    for sample in samples {
        for submitters in [1, 8] {
            let result = rate(submitters, period, || {
                let sample = Arc::clone(sample);
                workers.run(move || sample.decrypt()).unwrap();
            });
            let name = format!("RSA-{}, {submitters} submitters, one job each", sample.key.bits());
            line(&name, result);
        }
        let result = rate(1, period, || {
            let items = vec![Arc::clone(sample); 100];
            for answer in workers.map(items, |sample| sample.decrypt()) {
                answer.unwrap();
            }
        });
        let name = format!("RSA-{}, 1 submitter, batches of 100", sample.key.bits());
        line(&name, result.times(100.0));
    }
    line("an empty job, 1 submitter", rate(1, period, || workers.run(|| ()).unwrap()));
    line("an empty job, 8 submitters", rate(8, period, || workers.run(|| ()).unwrap()));
}

fn around(period: Duration, pairs: &[crypto::KeyPair]) {
    println!("-- around it");
    let cache = KeyCache::new(4096);
    let ids: Vec<_> = (0..4096).map(|number| format!("01890a5d-ac96-774b-bcce-{number:012}")).collect();
    let p256 = generate(KeySpec::P256).unwrap();
    let load = || PrivateKey::from_pkcs8(&p256.private);
    for id in &ids {
        cache.find_or_load(id, load).unwrap();
    }
    let next = AtomicU64::new(0);
    for threads in [1, 2, 8] {
        let result = rate(threads, period, || {
            let number = next.fetch_add(1, Ordering::Relaxed) % 4096;
            let id = ids.get(usize::try_from(number).unwrap()).unwrap();
            black_box(cache.find_or_load(id, load).unwrap());
        });
        line(&format!("a hit in a full cache of 4,096, threads: {threads}"), result);
    }
    let evicting = median(501, || {
        let id = format!("new {}", next.fetch_add(1, Ordering::Relaxed));
        drop(cache.find_or_load(&id, load).unwrap());
    });
    line("a miss in a full cache: P-256 load and eviction, median", format!("{evicting:.1?}"));
    let loading = median(501, || drop(load().unwrap()));
    line("  of which the load", format!("{loading:.1?}"));

    let store_key = StoreKey::generate().unwrap();
    let material = &pairs.first().unwrap().private;
    let sealed = store_key.seal("01890a5d-ac96-774b-bcce", material).unwrap();
    line(
        "sealing an RSA-2048 key, 1 thread",
        rate(1, period, || drop(store_key.seal("01890a5d-ac96-774b-bcce", material).unwrap())),
    );
    line(
        "opening it, 1 thread",
        rate(1, period, || drop(store_key.open("01890a5d-ac96-774b-bcce", &sealed).unwrap())),
    );

    let pool = KeyPool::new(16).unwrap();
    pool.warm(KeySpec::P256);
    pool.wait_until_ready(KeySpec::P256, 16);
    line("taking a ready pair", format!("{:.2?}", median(11, || drop(pool.take(KeySpec::P256).unwrap()))));

    let rsa_4096 = pairs.last().unwrap();
    let der = Secret::from(rsa_4096.private.expose());
    let before = resident_kib();
    let kept: Vec<_> = (0..2000).map(|_| PrivateKey::from_pkcs8(&der).unwrap()).collect();
    let parsed = resident_kib();
    let sample = Sample::new(rsa_4096);
    for key in &kept {
        black_box(key.decrypt(&same_hash(), &sample.plain).unwrap());
    }
    let used = resident_kib();
    let mixed = kept.iter().take(200);
    for key in mixed {
        black_box(key.decrypt(&default_mask(), &sample.mixed).unwrap());
    }
    if let (Some(before), Some(parsed), Some(used), Some(both)) = (before, parsed, used, resident_kib()) {
        let each = |more: u64, less: u64, count: f64| {
            format!("{:.1} KiB", precise(more.saturating_sub(less)) / count)
        };
        line("a parsed RSA-4096 key in memory", each(parsed, before, 2000.0));
        line("  and once it was used", each(used, before, 2000.0));
        line("  and what a mixed mask adds", each(both, used, 200.0));
    }
}
