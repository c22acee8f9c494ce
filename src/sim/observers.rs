//! Passive observers of a run: the recorder, the journal with its watch, and the fingerprint.

use super::event::Event;
use super::journal::{Journal, LogEntry, Logged};
use engine::{Digest, SimTime};
use record::{LogLine, Recorder};

/// The observers of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Observers {
    pub(super) recorder: Recorder,
    /// Changes and log entries of the control plane that have not been processed yet.
    pub(super) journal: Journal,
    pub(super) digest: Digest,
}

impl Observers {
    /// True if the journal has unprocessed entries.
    pub(super) const fn has_unprocessed_entries(&self) -> bool {
        !self.journal.changes.is_empty() || !self.journal.log.is_empty()
    }

    /// Adds an instant at which something happens to the fingerprint.
    pub(super) fn note_time(&mut self, now: SimTime) {
        self.digest.word(now.as_nanos().unsigned_abs());
    }

    /// Adds an event that is about to be handled to the fingerprint.
    pub(super) fn note_event(&mut self, now: SimTime, event: Event) {
        self.note_time(now);
        event.digest(&mut self.digest);
    }

    /// Records an entry of the audit trail.
    pub(super) fn note(&mut self, entry: LogEntry) {
        let Logged::Event(event) = entry.what else { return };
        self.digest.bytes(event.message.as_bytes());
        self.recorder.note(LogLine {
            at: entry.at,
            actor: entry.actor,
            kind: event.kind,
            object: event.object,
            reason: event.reason,
            message: event.message,
            is_warning: event.is_warning,
        });
    }
}
