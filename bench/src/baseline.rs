//! What verifying costs by itself: the measure of everything around it.

use crate::process::thread_cpu;
use mesh_proto::bytes::Signature;
use mesh_proto::envelope::Envelope;
use mesh_proto::key::Verifier;
use std::time::{Duration, Instant};

/// Messages with what verifies them.
pub(crate) struct Baseline {
    signed: Vec<(Verifier, Vec<u8>, Signature)>,
    verified: u64,
    cpu: Duration,
}

impl Baseline {
    /// Takes records as they are delivered, so that sizes and numbers of keys are the same.
    pub(crate) fn new(records: impl IntoIterator<Item = (Verifier, Envelope)>) -> Self {
        let signed = records.into_iter().map(|(key, envelope)| (key, envelope.pae(), *envelope.signature())).collect();
        Self { signed, verified: 0, cpu: Duration::ZERO }
    }

    /// Verifies on all cores for a while, as a loaded server does.
    pub(crate) fn measure(&mut self, wall: Duration) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let signed = &self.signed;
        let one = |core: usize| {
            let (started, cpu) = (Instant::now(), thread_cpu());
            let mut verified = 0u64;
            for (key, message, signature) in signed.iter().cycle().skip(core * signed.len() / cores) {
                assert!(key.verify(message, signature).is_ok(), "the bench signed it");
                verified += 1;
                if verified.is_multiple_of(64) && started.elapsed() > wall {
                    break;
                }
            }
            (verified, thread_cpu() - cpu)
        };
        let results: Vec<(u64, Duration)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || one(core))).collect();
            threads.into_iter().map(|thread| thread.join().expect("verifying does not panic")).collect()
        });
        for (verified, cpu) in results {
            self.verified += verified;
            self.cpu += cpu;
        }
    }

    /// Verifications in a second of CPU time.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.verified as f64 / self.cpu.as_secs_f64()
    }

    /// Bytes of the messages, on average.
    pub(crate) fn message_bytes(&self) -> usize {
        self.signed.iter().map(|(_, message, _)| message.len()).sum::<usize>() / self.signed.len().max(1)
    }
}
