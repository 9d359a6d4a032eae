//! Asking everything that runs to stop.

use tokio::sync::watch;

/// Asks to stop, once.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Learns that a stop was asked for.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A trigger and what listens to it. A dropped trigger counts as pulled.
#[must_use]
pub fn channel() -> (Trigger, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Stop(receiver))
}

impl Trigger {
    /// Asks everything to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until the stop is asked for.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which is a stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Waits for Ctrl-C or SIGTERM and names it.
///
/// # Errors
/// When the operating system grants no signal handler.
pub async fn signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    })
}
